#pragma once
// From labels to settings: which threshold keeps the share of wrong hits under a target, and how sure
// that is. Labels come from labelled pairs and streams (run through the real cache at each value) or
// from decisions of shadow mode.

#include <string>
#include <vector>

#include "eval/rows.h"
#include "eval/sweep.h"

namespace enhanced_gptcache::eval {

/// Share of hits that may be wrong on average, unless the caller says otherwise. Not
/// TauOptions::target_error_rate, which bounds the least certain single hit.
inline constexpr double kMeanErrorWanted = 0.02;

/// With fewer nothing is proposed: the interval of 1 wrong in 100 hits already reaches beyond 5 %.
inline constexpr uint64_t kLabelsMin = 100;

/// The curve that shadow decisions would have made. Rows without a probability count for none of the
/// points when the knob is the target error rate.
Curve curve_of(const std::vector<ShadowRow>& decisions, Knob knob);

/// Adds the points of `more`; both curves have the same knob.
void merge(Curve& curve, const Curve& more);

struct Proposal {
  CurvePoint point;        ///< what was measured where it lies
  bool is_proven = false;  ///< even the upper end of the 95 % interval is within the target
  double similarity_threshold = 0;
  double initial_tau = 0;
  double target_error_rate = 0;
};
/// The most lenient value that keeps wrong hits within `target_error`: proven if there is one, else by
/// what was observed. `options` are the ones the curve was made with. kNotFound: there is no such value.
Result<Proposal> propose(const Curve& curve, const Options& options, double target_error);

/// Settings that validate-config accepts.
std::string to_yaml(const Proposal& proposal, std::string_view decision, uint64_t labels);

}  // namespace enhanced_gptcache::eval
