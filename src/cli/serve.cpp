#include "app/application.h"
#include "cli/commands.h"

namespace enhanced_gptcache::cli {

int serve(const Common& common) {
  auto loaded = load_or_report(common);
  return loaded == nullptr ? 1 : app::serve(common.load, std::move(loaded));
}

}  // namespace enhanced_gptcache::cli
