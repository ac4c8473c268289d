// enhanced-gptcache: arguments to one subcommand, and the last place an exception could reach.

#include <fmt/format.h>

#include <exception>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace enhanced_gptcache::cli {
namespace {

/// Takes "--section.key=value" and "--section.key value" out of the arguments: every setting is a
/// flag, and the settings table, not the argument parser, knows them.
std::vector<std::string> take_setting_flags(std::vector<std::string>& arguments) {
  std::vector<std::string> flags;
  std::vector<std::string> rest;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const std::string name = argument.substr(0, argument.find('='));
    const bool setting = name.starts_with("--") && name.find('.') != std::string::npos;
    if (!setting) {
      rest.push_back(argument);
    } else if (argument.size() > name.size() || i + 1 == arguments.size()) {
      flags.push_back(argument);
    } else {
      flags.push_back(argument + "=" + arguments[++i]);
    }
  }
  arguments = std::move(rest);
  return flags;
}

int run(std::vector<std::string> arguments) {
  CLI::App app{"Enhanced GPTCache: a semantic cache in front of every LLM."};
  app.name("enhanced-gptcache");
  app.footer(
      "Every setting of docs/settings.md is a flag too: --cache.size_mb=200, --server.port=9090.\n"
      "Exit codes: 0 ok, 1 failed check, 2 usage.");
  app.require_subcommand(1);
  app.fallthrough();
  Common common;
  common.load.environment = config::process_environment();
  common.load.flags = take_setting_flags(arguments);
  app.add_option("--config", common.load.path,
                 "settings file (else ENHANCED_GPTCACHE_CONFIG, ./config.yaml, /etc)");
  app.add_option("--server", common.server_url,
                 "URL of a running server (else from server.host and server.port)");
  int exit_code = 0;
  add_serve(app, common, exit_code);
  add_query(app, common, exit_code);
  add_store(app, common, exit_code);
  add_validate_config(app, common, exit_code);
  add_doctor(app, common, exit_code);
  add_version(app, exit_code);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its end
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return exit_code;
}

}  // namespace
}  // namespace enhanced_gptcache::cli

int main(int argc, char** argv) {
  try {
    return enhanced_gptcache::cli::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    fmt::print(stderr, "enhanced-gptcache: unexpected failure: {}\n", error.what());
    return 1;
  }
}
