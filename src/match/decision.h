#pragma once
// The policy step: from what is known about the best candidate to "serve it" or to the reason of the
// miss. Pure functions on plain values; the cache gathers the values.

#include <optional>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/options.h"

namespace enhanced_gptcache::match {

/// What decides in one request. Thread rule: plain values.
struct Policy {
  DecisionPolicy decision = DecisionPolicy::kAdaptive;
  double similarity_threshold = 0.65;
  double tau = 0.85;                ///< of this user; ignored by kStatic
  std::optional<double> raise;      ///< of this request; can only raise
  double initial_tau = 0.85;        ///< kVerified: where tau neither tightens nor loosens
  double target_error_rate = 0.02;  ///< kVerified
  double budget_shift = 0;          ///< kVerified: log odds that the tenant's labels add (error_budget.h)
};

/// What is known about one candidate. Checks that were not made because an earlier one refused are
/// left at their defaults: decide() asks in the order of the fields.
struct Candidate {
  double similarity = 0;
  bool context_equivalent = false;
  std::optional<std::string_view> refusing_guard;
  double logit = 0;     ///< kVerified: of the verifier's probability
  double evidence = 0;  ///< kVerified: log odds that this entry needs beyond others (cache/budgets.h)
};

struct Verdict {
  bool serve = false;
  MissReason reason = MissReason::kNoCandidate;  ///< meaningless when served
  double threshold = 0;                          ///< what the similarity was held against
  double probability = 0;                        ///< see probability_of()
};

/// The similarity a candidate must reach: the floor for kStatic and kVerified, max(floor, tau) for
/// kAdaptive, and at least `raise` in all.
double threshold_of(const Policy& policy);

/// What labels hold the mean share of wrong hits at, whatever more the target allows a single hit: the target
/// is the error of the least likely hit that may be served, and most are far likelier right.
inline constexpr double kMeanErrorAtMost = 0.05;

/// Log odds below the calibrated threshold that a tau may take the bar to: a user who confirms everything
/// does not open the cache to everything. Above it there is no bound but tau's own.
inline constexpr double kTauLoosenMax = 1.0;

/// kVerified: the log odds a candidate must reach, logit(1 - target_error_rate) + k (tau - initial_tau), the
/// latter at least -kTauLoosenMax, + budget_shift. k is the slope of log odds in similarity, so that a step
/// of tau means the same here as under kAdaptive.
double required_logit(const Policy& policy);
/// The second term alone.
double tau_shift(const Policy& policy);

/// Order of reasons: below the floor there is no candidate; then the context, the guards, the threshold.
/// A similarity that is not a number is never served.
Verdict decide(const Candidate& candidate, const Policy& policy);

/// Estimate that the candidate's answer would be right, when context and guards agree. Monotone in the
/// similarity. A first estimate from similarity alone (decision.cpp tells from which data); the verifier
/// replaces it. Do not read it as a promise about other traffic.
double probability_of(double similarity);

}  // namespace enhanced_gptcache::match
