#pragma once
// What the proxy reports about its work. The app turns it into metrics; tests read it directly.

#include <cstdint>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "proxy/token_count.h"

namespace enhanced_gptcache::proxy {

enum class Outcome { kHit, kMiss, kBypass, kRefresh };
/// "HIT", "MISS", "BYPASS", "REFRESH": the value of X-Cache.
std::string_view to_string(Outcome outcome);

enum class Stage { kParse, kExactLookup, kLookup, kUpstreamHead, kUpstreamBody, kStore, kRender };
std::string_view to_string(Stage stage);

/// One finished request. Views are valid during the call only.
struct RequestRecord {
  std::string_view route;  ///< "/v1/chat/completions", ...
  Outcome outcome = Outcome::kMiss;
  std::string_view layer;   ///< "exact" or "semantic" of a hit
  std::string_view reason;  ///< as in X-Cache-Reason
  int status = 0;
  bool stream = false;
  bool joined = false;     ///< shared another caller's upstream call
  std::string_view model;  ///< as the caller named it
  TokenCount saved;        ///< of a hit: what the provider would have counted
  TokenCount spent;        ///< of a miss, when the answer said so
  int64_t ttft_us = 0;     ///< first byte of the answer after the request was read
  int64_t total_us = 0;
};

/// Called on any thread; must not block.
class ProxyObserver {
 public:
  virtual ~ProxyObserver() = default;
  virtual void on_request(const RequestRecord& /*record*/) {}
  virtual void on_lookup(const Lookup& /*lookup*/) {}
  virtual void on_stage(Stage /*stage*/, int64_t /*duration_us*/) {}
  /// `label` is bounded: an error code's label, or "status_5xx", "status_429", "cut".
  virtual void on_upstream_error(std::string_view /*label*/) {}
  /// The cache failed and the request went on without it (fail open).
  virtual void on_cache_error(Stage /*stage*/, ErrorCode /*code*/) {}
  /// "stored", or why not: "finish_reason", "refusal", "status", "cut", "too_large", ...
  virtual void on_learn(std::string_view /*result*/) {}
  /// "agreed", "disagreed", "undecided", "failed" or "dropped".
  virtual void on_shadow_check(std::string_view /*result*/) {}
  /// "yes", "no" or "unreadable".
  virtual void on_judge(std::string_view /*verdict*/) {}
};

}  // namespace enhanced_gptcache::proxy
