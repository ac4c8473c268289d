#include <fmt/format.h>

#include "cli/commands.h"

namespace enhanced_gptcache::cli {

void add_version(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("version", "Print the version.");
  command->callback([&exit_code] {
    fmt::print("enhanced-gptcache {}\n", EGPTC_VERSION);
    exit_code = 0;
  });
}

}  // namespace enhanced_gptcache::cli
