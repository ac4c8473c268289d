#include "match/decision.h"

#include <algorithm>
#include <cmath>

#include "match/verifier.h"

namespace enhanced_gptcache::match {
namespace {

// Logistic regression on a replayed stream of 10,001 public questions (the development half of a
// question-pair set), each with the nearest question before it by all-MiniLM-L6-v2: "same cluster" against
// similarity, on the 4,568 neighbours at 0.6 or more that the guards let pass. Expected calibration error
// on the same data 0.02. The set counts some true paraphrases as different, so it errs downwards.
constexpr double kIntercept = -13.50;
constexpr double kSlope = 16.91;

/// The stricter of both. One that is not a number asked for more than can be known: nothing passes but 1.
double raised(double threshold, double to) {
  if (std::isnan(to)) return 1.0;
  return std::max(threshold, to);
}

}  // namespace

double threshold_of(const Policy& policy) {
  double threshold = policy.similarity_threshold;
  if (policy.decision == DecisionPolicy::kAdaptive) threshold = raised(threshold, policy.tau);
  return policy.raise ? raised(threshold, *policy.raise) : threshold;
}

double tau_shift(const Policy& policy) {
  return std::max(-kTauLoosenMax, kSlope * (policy.tau - policy.initial_tau));
}

double required_logit(const Policy& policy) {
  return logit_of(1.0 - policy.target_error_rate) + tau_shift(policy) + policy.budget_shift;
}

Verdict decide(const Candidate& candidate, const Policy& policy) {
  Verdict verdict;
  verdict.threshold = threshold_of(policy);
  if (!(candidate.similarity >= policy.similarity_threshold)) return verdict;
  const bool is_verified = policy.decision == DecisionPolicy::kVerified;
  verdict.probability =
      is_verified ? probability_of_logit(candidate.logit) : probability_of(candidate.similarity);
  if (!candidate.context_equivalent) {
    verdict.reason = MissReason::kContext;
  } else if (candidate.refusing_guard) {
    verdict.reason = MissReason::kGuard;
  } else if (!(candidate.similarity >= verdict.threshold)) {
    verdict.reason = MissReason::kBelowThreshold;
  } else if (is_verified && !(candidate.logit - candidate.evidence >= required_logit(policy))) {
    verdict.reason = MissReason::kVerifier;
  } else {
    verdict.serve = true;
  }
  return verdict;
}

double probability_of(double similarity) {
  if (!(similarity >= -1.0)) return 0;
  return 1.0 / (1.0 + std::exp(-(kIntercept + kSlope * std::min(similarity, 1.0))));
}

}  // namespace enhanced_gptcache::match
