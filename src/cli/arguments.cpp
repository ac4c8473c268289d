#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/backup_commands.h"
#include "cli/commands.h"
#include "cli/eval_commands.h"
#include "cli/privacy_commands.h"
#include "cli/security_commands.h"

namespace enhanced_gptcache::cli {
namespace {

constexpr int64_t kTtlSecondsMax = 315'360'000;  // ten years, as in the native API

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

/// Everything the command line can say, and how it ended.
struct CommandLine {
  Common common;
  QueryArguments query;
  StoreArguments store;
  ValidateArguments validate;
  DeploymentArguments deployment;
  BenchArguments bench;
  EvalCommands evaluation;
  BackupCommands backups;
  SecurityCommands security;
  PrivacyCommands privacy;
  bool doctor_json = false;
  int exit_code = 0;
};

void add_query(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      app.add_subcommand("query", "Ask the cache of a running server (exit code 1 on a miss).");
  QueryArguments& wanted = line.query;
  command->add_option("text", wanted.text, "the question")->required();
  command->add_option("--namespace", wanted.name_space, "namespace below the caller's tenant");
  command->add_option("--model", wanted.model, "model the answer must come from (default: \"default\")");
  command->add_option("--threshold", wanted.threshold, "raise the similarity floor")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--api-key-env", wanted.key_variable,
                      "environment variable with the provider key whose entries to ask");
  command->add_flag("--json", wanted.as_json, "print the answer as the server gave it");
  command->add_flag("--explain", wanted.explain, "print how the decision came about");
  command->callback([&line] { line.exit_code = query(line.common, line.query); });
}

void add_store(CLI::App& app, CommandLine& line) {
  CLI::App* command = app.add_subcommand("store", "Store an answer in the cache of a running server.");
  StoreArguments& wanted = line.store;
  command->add_option("query", wanted.query, "the question");
  command->add_option("response", wanted.response, "the answer");
  command->add_option("--file", wanted.file,
                      "seed in bulk: one {\"query\", \"response\", ...} per line; - is standard input");
  command->add_option("--namespace", wanted.name_space, "namespace below the caller's tenant");
  command->add_option("--model", wanted.model, "model the answer counts for (default: \"default\")");
  command->add_option("--tag", wanted.tags, "tag; may be given more than once");
  command->add_option("--ttl-seconds", wanted.ttl_seconds, "lifetime")
      ->check(CLI::Range(int64_t{1}, kTtlSecondsMax));
  command->add_option("--api-key-env", wanted.key_variable,
                      "environment variable with the provider key under which to store");
  command->callback([&line] { line.exit_code = store(line.common, line.store); });
}

void add_validate_config(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      app.add_subcommand("validate-config", "Check a settings file; prints every error, not only the first.");
  ValidateArguments& wanted = line.validate;
  command->add_option("file", wanted.file, "settings file (default: the one serve would use)");
  command->add_option("--print", wanted.print_key,
                      "print the effective value of one key, e.g. cache.size_mb");
  command->add_flag("--effective", wanted.effective,
                    "print all effective values and where each came from, as JSON");
  command->add_flag("--table", wanted.table, "print the table of all settings, as JSON");
  command->callback([&line] { line.exit_code = validate_config(line.common, line.validate); });
}

void add_validate_deployment(CLI::App& app, CommandLine& line) {
  CLI::App* command = app.add_subcommand(
      "validate-deployment", "Check a running deployment from all sides (exit code 1 when a check fails).");
  DeploymentArguments& wanted = line.deployment;
  command->add_option("--env", wanted.environment, "what it is meant to be (default: ENV, else production)")
      ->check(CLI::IsMember({"production", "staging", "development"}));
  command->add_option("--api-key-env", wanted.key_variable,
                      std::string("environment variable with a key to call with") + kDefaultKey);
  command->add_option("--backups", wanted.backups, "folder of the backups")->capture_default_str();
  command->add_option("--backup-hours", wanted.backup_hours_max, "the newest one is at most so old")
      ->check(CLI::Range(0.0, 87600.0))
      ->capture_default_str();
  command->add_flag("--remote", wanted.remote,
                    "the server runs on another machine: leave out files and folders");
  command->add_flag("--json", wanted.as_json, "print the findings as JSON");
  command->callback([&line] { line.exit_code = validate_deployment(line.common, line.deployment); });
}

void add_bench(CLI::App& app, CommandLine& line) {
  constexpr uint64_t kRequestsMax = 1'000'000'000, kConnectionsMax = 4096;
  CLI::App* command =
      app.add_subcommand("bench",
                         "Put load on a running server and tell latencies by layer. Without --bodies it "
                         "stores questions of its own in "
                         "the namespace bench, asks them without ever calling the model, and removes them.");
  BenchArguments& wanted = line.bench;
  command->add_option("--entries", wanted.entries, "questions stored and asked, at most 4000")
      ->check(CLI::Range(uint64_t{1}, kBenchEntriesMax))
      ->capture_default_str();
  command->add_option("--semantic-percent", wanted.semantic_percent, "share of them asked in other words")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command->add_option("--seconds", wanted.seconds, "how long")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command->add_option("--requests", wanted.requests, "stop after so many instead")
      ->check(CLI::Range(uint64_t{1}, kRequestsMax));
  command->add_option("--connections", wanted.connections, "requests under way at most")
      ->check(CLI::Range(uint64_t{1}, kConnectionsMax))
      ->capture_default_str();
  command
      ->add_option(
          "--rate", wanted.rate,
          "requests a second, due at random times whether answers come or not (default: as answers come)")
      ->check(CLI::Range(0.1, 1e6));
  command->add_option("--bodies", wanted.bodies,
                      "file of request bodies, one a line, instead of own questions");
  command->add_option("--path", wanted.path, "where --bodies are posted")->capture_default_str();
  command->add_option("--start", wanted.start, "first line of --bodies that is sent, from 0");
  command->add_option("--header", wanted.headers, "a header line to send; may be given more than once");
  command->add_option("--api-key-env", wanted.key_variable,
                      std::string("environment variable with a key to call with") + kDefaultKey);
  command->add_flag("--json", wanted.as_json, "print the figures as JSON");
  command->callback([&line] { line.exit_code = bench(line.common, line.bench); });
}

void add_others(CLI::App& app, CommandLine& line) {
  app.add_subcommand("serve", "Run the server until SIGTERM or SIGINT.")->callback([&line] {
    line.exit_code = serve(line.common);
  });
  CLI::App* command = app.add_subcommand(
      "doctor", "Check configuration, storage, model, verifier, cache, PCA, tau and the running server.");
  command->add_flag("--json", line.doctor_json, "print the findings as JSON");
  command->callback([&line] { line.exit_code = doctor(line.common, line.doctor_json); });
  app.add_subcommand("version", "Print the version.")->callback([] {
    fmt::print("enhanced-gptcache {}\n", EGPTC_VERSION);
  });
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

/// The word that stands where a command belongs and is none; empty: all is well, or nothing stands there.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" || arguments[i] == "--server") {
      ++i;
    } else if (!arguments[i].starts_with('-')) {
      const std::vector<std::string> names = command_names(app);
      return std::find(names.begin(), names.end(), arguments[i]) == names.end() ? arguments[i] : "";
    }
  }
  return "";
}

}  // namespace

int run(std::vector<std::string> arguments) {
  CommandLine line;
  line.common.load.environment = config::process_environment();
  line.common.load.flags = take_setting_flags(arguments);
  CLI::App app{"Enhanced GPTCache: a semantic cache in front of every LLM."};
  app.name("enhanced-gptcache");
  app.footer(
      "Every setting of docs/settings.md is a flag too: --cache.size_mb=200, --server.port=9090.\n"
      "Exit codes: 0 ok, 1 failed check, 2 usage.");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--config", line.common.load.path,
                 "settings file (else ENHANCED_GPTCACHE_CONFIG, ./config.yaml, /etc)");
  app.add_option("--server", line.common.server_url,
                 "URL of a running server (else from server.host and server.port)");
  add_others(app, line);
  add_query(app, line);
  add_store(app, line);
  add_validate_config(app, line);
  add_validate_deployment(app, line);
  add_bench(app, line);
  add_eval_commands(app, line.common, line.evaluation, line.exit_code);
  add_backup_commands(app, line.common, line.backups, line.exit_code);
  add_security_commands(app, line.common, line.security, line.exit_code);
  add_privacy_commands(app, line.common, line.privacy, line.exit_code);
  if (const std::string unknown = unknown_command(app, arguments); !unknown.empty()) {
    fmt::print(stderr, "error: unknown command {}; there are {}\n", unknown,
               fmt::join(command_names(app), ", "));
    return 2;
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its end
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return line.exit_code;
}

}  // namespace enhanced_gptcache::cli
