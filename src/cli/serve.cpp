#include "app/application.h"
#include "cli/commands.h"

namespace enhanced_gptcache::cli {

int serve(const Common& common) {
  int exit_code = 0;
  auto loaded = load_or_report(common, exit_code);
  return loaded == nullptr ? exit_code : app::serve(common.load, std::move(loaded));
}

}  // namespace enhanced_gptcache::cli
