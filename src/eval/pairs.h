#pragma once
// Labelled pairs: put one question, look up the other, in a namespace of their own. Also conversations,
// where each side has a history.

#include <map>
#include <string>
#include <vector>

#include "eval/answer.h"
#include "eval/examples.h"
#include "eval/metrics.h"
#include "eval/rows.h"

namespace enhanced_gptcache::eval {

struct PairOptions {
  size_t threads = 1;
  bool both_orders = false;  ///< also put b and look up a
  size_t examples = 0;
};

struct PairReport {
  std::map<std::string, Counts> kinds;
  Counts total;
  Counts clean;  ///< kinds whose labels are certain
  std::optional<double> auc, recall_at_p90, clean_auc, clean_recall_at_p90;
  std::map<std::string, uint64_t> miss_reasons, lost_reasons;  ///< lost: label 1
  Reliability candidates;  ///< every candidate with a stated probability but exact hits
  Reliability served;      ///< the semantic hits among them
  std::vector<double> latency_ms;
  Examples examples;
};

/// Kinds with certain labels; the others are noisy or a matter of policy (README of the data).
bool is_clean(std::string_view kind);

/// What the cache says to each row, in the order of the rows; with both_orders the second half is the
/// other order. Every row has a namespace of its own, which is flushed after it.
Result<std::vector<Answer>> ask_pairs(EnhancedCache& cache, const std::vector<PairRow>& rows,
                                      const PairOptions& options);
/// `answers` as ask_pairs() gave them.
PairReport judge_pairs(const std::vector<PairRow>& rows, const std::vector<Answer>& answers);
/// Both, and the examples.
Result<PairReport> run_pairs(EnhancedCache& cache, const std::vector<PairRow>& rows,
                             const PairOptions& options);

}  // namespace enhanced_gptcache::eval
