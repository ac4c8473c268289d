#pragma once
// The figures a semantic cache is judged by: counts of right and wrong hits with their interval, the
// ranking quality of the stated probability, and whether that probability is a true one. Plain
// functions on plain values; every one is checked against a worked example in metrics_test.cpp.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/wilson.h"

namespace enhanced_gptcache::eval {

using base::Interval;
using base::wilson;

/// `part` of `whole`; 0 when there is nothing to divide by.
double share(uint64_t part, uint64_t whole);

/// Pairs of questions. Positive: the stored answer is right.
struct Counts {
  uint64_t positives = 0;
  uint64_t hits = 0;  ///< positives that were served
  uint64_t negatives = 0;
  uint64_t false_hits = 0;  ///< negatives that were served

  void add(bool is_positive, bool is_hit);
  Counts& operator+=(const Counts& other);
  double precision() const { return share(hits, hits + false_hits); }
  double recall() const { return share(hits, positives); }
  double f1() const { return share(2 * hits, hits + false_hits + positives); }
  double false_hit_rate() const { return share(false_hits, negatives); }
};

/// A score that should be high for positives.
struct Scored {
  double score = 0;
  bool positive = false;
};
/// Area under the ROC curve: the probability that a positive scores above a negative, ties half (Mann
/// and Whitney 1947). Empty without positives or without negatives.
std::optional<double> roc_auc(std::span<const Scored> scored);
/// The largest recall at which, served from the highest score down, at least `precision` of what is
/// served is positive. Equal scores are served together. Empty as above.
std::optional<double> recall_at_precision(std::span<const Scored> scored, double precision);

/// Stated probability against what happened, in ten bins of equal width.
struct Reliability {
  struct Bin {
    uint64_t count = 0;
    uint64_t right = 0;
    double stated_sum = 0;
  };
  std::array<Bin, 10> bins{};
  uint64_t count = 0;

  void add(double probability, bool right);
  /// Mean distance between stated and observed, weighted by bin (Naeini, Cooper and Hauskrecht 2015).
  double expected_error() const;
};

/// The value below which a share `p` of `values` lies (nearest rank from below). Empty without values.
std::optional<double> percentile(std::vector<double> values, double p);

}  // namespace enhanced_gptcache::eval
