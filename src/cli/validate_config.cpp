#include <fmt/format.h>

#include "cli/commands.h"

namespace enhanced_gptcache::cli {
namespace {

struct Wanted {
  std::string file;
  std::string print_key;
  bool table = false;
  bool effective = false;
};

int validate(Common common, const Wanted& wanted) {
  if (wanted.table) {
    fmt::print("{}\n", config::settings_table_json());
    return 0;
  }
  if (!wanted.file.empty()) common.load.path = wanted.file;
  const config::LoadOutcome outcome = config::load(common.load);
  for (const config::Problem& problem : outcome.errors) fmt::print(stderr, "error: {}\n", problem.text());
  for (const config::Problem& problem : outcome.warnings) fmt::print(stderr, "warning: {}\n", problem.text());
  const std::string name = outcome.path.empty() ? "the built-in settings" : outcome.path;
  if (outcome.loaded == nullptr) {
    fmt::print(stderr, "{}: {} error(s)\n", name, outcome.errors.size());
    return 1;
  }
  if (wanted.effective) {
    fmt::print("{}\n", config::effective_json(*outcome.loaded));
  } else if (!wanted.print_key.empty()) {
    const Result<std::string> value = config::effective_value(*outcome.loaded, wanted.print_key);
    if (!value) {
      fmt::print(stderr, "error: {}\n", value.error().message);
      return 2;
    }
    fmt::print("{}\n", *value);
  } else {
    fmt::print("{}: valid (environment {})\n", name, outcome.loaded->environment);
  }
  return 0;
}

}  // namespace

void add_validate_config(CLI::App& app, Common& common, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("validate-config", "Check a settings file; prints every error, not only the first.");
  auto wanted = std::make_shared<Wanted>();
  command->add_option("file", wanted->file, "settings file (default: the one serve would use)");
  command->add_option("--print", wanted->print_key,
                      "print the effective value of one key, e.g. cache.similarity_threshold");
  command->add_flag("--effective", wanted->effective,
                    "print all effective values and where each came from, as JSON");
  command->add_flag("--table", wanted->table, "print the table of all settings, as JSON");
  command->callback([&common, &exit_code, wanted] { exit_code = validate(common, *wanted); });
}

}  // namespace enhanced_gptcache::cli
