#include <fmt/format.h>

#include "app/application.h"
#include "cli/commands.h"

namespace enhanced_gptcache::cli {

void add_serve(CLI::App& app, Common& common, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Run the server until SIGTERM or SIGINT.");
  command->callback([&common, &exit_code] {
    auto loaded = load_or_report(common);
    exit_code = loaded == nullptr ? 1 : app::serve(common.load, std::move(loaded));
  });
}

}  // namespace enhanced_gptcache::cli
