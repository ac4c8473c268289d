#include <fmt/format.h>

#include "cli/commands.h"

namespace enhanced_gptcache::cli {
int validate_config(const Common& common, const ValidateArguments& wanted) {
  if (wanted.table) {
    fmt::print("{}\n", config::settings_table_json());
    return 0;
  }
  config::LoadRequest request = common.load;
  if (!wanted.file.empty()) request.path = wanted.file;
  const config::LoadOutcome outcome = config::load(request);
  for (const config::Problem& problem : outcome.errors) fmt::print(stderr, "error: {}\n", problem.text());
  for (const config::Problem& problem : outcome.warnings) fmt::print(stderr, "warning: {}\n", problem.text());
  const std::string name = outcome.path.empty() ? "the built-in settings" : outcome.path;
  if (outcome.loaded == nullptr) {
    fmt::print(stderr, "{}: {} error(s)\n", name, outcome.errors.size());
    return failure_code(outcome.errors);
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

}  // namespace enhanced_gptcache::cli
