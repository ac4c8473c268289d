#pragma once
// What shadow mode would report of one's own traffic: every request of a log goes to the cache, nothing is
// served, and the answer of the log is learned. What would have been served is held against the log's answer.

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "eval/metrics.h"
#include "eval/replay.h"

namespace enhanced_gptcache::eval {

/// A hit that would have been served.
struct WouldBeHit {
  size_t request = 0;
  size_t source = 0;  ///< the request whose answer it is
  double similarity = 0;
  double probability = 0;
};

struct ShadowReport {
  uint64_t requests = 0;
  uint64_t exact = 0;     ///< the very same request was answered before
  uint64_t semantic = 0;  ///< would-be semantic hits
  double error_sum = 0;   ///< of the semantic ones: 1 - stated probability
  /// Semantic ones whose two answers the log holds (cache/answer_compare.h).
  uint64_t agreed = 0, disagreed = 0, undecided = 0;
  std::map<std::string, uint64_t> miss_reasons;
  std::vector<WouldBeHit> doubtful;  ///< the semantic ones with the lowest probability, lowest first

  double hit_rate() const { return share(exact + semantic, requests); }
  double error_estimate() const { return semantic == 0 ? 0 : error_sum / static_cast<double>(semantic); }
};

/// Timestamps move the clock as in replay(). At most `examples` doubtful hits are kept.
Result<ShadowReport> shadow(const ReplaySide& side, const std::vector<TrafficRow>& rows, size_t examples);

nlohmann::ordered_json to_json(const ShadowReport& report, const std::vector<TrafficRow>& rows);
std::string to_text(const ShadowReport& report, const std::vector<TrafficRow>& rows);

}  // namespace enhanced_gptcache::eval
