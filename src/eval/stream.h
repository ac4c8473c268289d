#pragma once
// A stream of questions in its order, inserted on a miss: what traffic does to a cache.

#include <map>
#include <string>
#include <vector>

#include "eval/answer.h"
#include "eval/examples.h"
#include "eval/metrics.h"
#include "eval/rows.h"

namespace enhanced_gptcache::eval {

struct StreamReport {
  uint64_t events = 0;
  uint64_t left_out = 0;  ///< rows whose answer depends on more than the cluster
  uint64_t possible = 0;  ///< events whose cluster had been asked before
  uint64_t true_hits = 0;
  uint64_t false_hits = 0;
  uint64_t unjudged = 0;    ///< hits on a cluster nobody compared with this one
  uint64_t exact_hits = 0;  ///< of the hits: the very same request
  std::map<std::string, uint64_t> miss_reasons, lost_reasons;  ///< lost: the answer was there
  Reliability candidates;          ///< hits and nearest entries, without unjudged ones and exact hits
  Reliability served;              ///< the semantic hits among them
  std::vector<double> latency_ms;  ///< of lookups that embedded their text
  Examples examples;

  double recall() const { return share(true_hits, possible); }
  double wrong_per_100() const { return 100 * share(false_hits, events); }
  uint64_t hits() const { return true_hits + false_hits + unjudged; }
};

/// Plays `rows` in the order of `order` (indices, may repeat) into a namespace of its own, flushed after.
Result<StreamReport> run_stream(EnhancedCache& cache, const std::vector<StreamRow>& rows,
                                const std::vector<size_t>& order, size_t examples);
/// 0, 1, 2...
std::vector<size_t> in_order(size_t count);

/// `requests` draws: a cluster by Zipf's law with exponent `s` (the rank of each cluster is drawn too), then
/// a random member of it. The same `seed` gives the same draws on every machine. Rows that are not
/// slot-free are never drawn. kInvalidArgument: there are no others.
Result<std::vector<size_t>> zipf_order(const std::vector<StreamRow>& rows, double s, size_t requests,
                                       uint64_t seed);

}  // namespace enhanced_gptcache::eval
