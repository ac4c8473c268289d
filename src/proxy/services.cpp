#include "proxy/services.h"

#include "base/error_table.h"
#include "base/log.h"

namespace enhanced_gptcache::proxy {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kHit:
      return "HIT";
    case Outcome::kMiss:
      return "MISS";
    case Outcome::kBypass:
      return "BYPASS";
    case Outcome::kRefresh:
      return "REFRESH";
  }
  return "MISS";
}

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kParse:
      return "parse";
    case Stage::kExactLookup:
      return "exact_lookup";
    case Stage::kLookup:
      return "lookup";
    case Stage::kUpstreamHead:
      return "upstream_head";
    case Stage::kUpstreamBody:
      return "upstream_body";
    case Stage::kStore:
      return "store";
    case Stage::kRender:
      return "render";
  }
  return "parse";
}

void fail_open(Services& services, Stage stage, const Error& error) {
  services.observer.on_cache_error(stage, error.code);
  base::log_warning("cache {} failed ({}): {}; the request goes on without the cache", to_string(stage),
                    base::error_row(error.code).label, error.message);
}

}  // namespace enhanced_gptcache::proxy
