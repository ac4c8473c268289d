#include "match/decision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "match/verifier.h"

namespace enhanced_gptcache::match {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(ThresholdOf, FollowsThePolicy) {
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kStatic, 0.65, 0.85, {}}), 0.65);
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kAdaptive, 0.65, 0.85, {}}), 0.85);
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kAdaptive, 0.9, 0.85, {}}), 0.9);
}

TEST(ThresholdOf, ARequestCanOnlyRaise) {
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kStatic, 0.65, 0.85, 0.95}), 0.95);
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kAdaptive, 0.65, 0.85, 0.1}), 0.85);
  EXPECT_DOUBLE_EQ(threshold_of({DecisionPolicy::kAdaptive, 0.65, 0.85, kNan}), 1.0);
}

struct Case {
  const char* name;
  Candidate candidate;
  Policy policy;
  bool serve;
  MissReason reason;
};

class DecideTest : public testing::TestWithParam<Case> {};

TEST_P(DecideTest, GivesTheFirstReason) {
  const Verdict verdict = decide(GetParam().candidate, GetParam().policy);
  EXPECT_EQ(verdict.serve, GetParam().serve);
  if (!verdict.serve) {
    EXPECT_EQ(verdict.reason, GetParam().reason);
  }
  EXPECT_DOUBLE_EQ(verdict.threshold, threshold_of(GetParam().policy));
}

INSTANTIATE_TEST_SUITE_P(
    Table, DecideTest,
    testing::Values(
        Case{"served", {0.86, true, {}}, {}, true, {}},
        Case{"at_the_threshold", {0.85, true, {}}, {}, true, {}},
        Case{"static_serves_lower", {0.65, true, {}}, {DecisionPolicy::kStatic, 0.65, 0.9, {}}, true, {}},
        Case{"below_floor", {0.64, true, {}}, {}, false, MissReason::kNoCandidate},
        Case{"below_tau", {0.84, true, {}}, {}, false, MissReason::kBelowThreshold},
        Case{"below_raise",
             {0.9, true, {}},
             {DecisionPolicy::kStatic, 0.65, 0.9, 0.95},
             false,
             MissReason::kBelowThreshold},
        Case{"context", {0.99, false, "numbers"}, {}, false, MissReason::kContext},
        Case{"guard", {0.99, true, "numbers"}, {}, false, MissReason::kGuard},
        Case{"guard_before_threshold", {0.7, true, "numbers"}, {}, false, MissReason::kGuard},
        Case{"not_a_number", {kNan, true, {}}, {}, false, MissReason::kNoCandidate},
        Case{"floor_not_a_number",
             {0.7, true, {}},
             {DecisionPolicy::kAdaptive, kNan, kNan, {}},
             false,
             MissReason::kNoCandidate}),
    [](const auto& test) { return test.param.name; });

TEST(ProbabilityOf, IsMonotoneAndAShare) {
  double before = -1;
  for (int i = -100; i <= 110; ++i) {
    const double p = probability_of(i / 100.0);
    EXPECT_GE(p, before);
    EXPECT_GE(p, 0);
    EXPECT_LE(p, 1);
    before = p;
  }
  // Observed on the data it was fitted to: 0.23 at 0.70..0.75, 0.76 at 0.85..0.90, 0.97 at 0.95 and above.
  EXPECT_NEAR(probability_of(0.725), 0.23, 0.03);
  EXPECT_NEAR(probability_of(0.875), 0.76, 0.04);
  EXPECT_NEAR(probability_of(0.98), 0.96, 0.02);
  EXPECT_EQ(probability_of(kNan), 0);
}

TEST(Decide, VerifiedHoldsTheOddsAgainstTheTargetErrorRate) {
  Policy policy;
  policy.decision = DecisionPolicy::kVerified;
  policy.target_error_rate = 0.02;
  Candidate candidate;
  candidate.similarity = 0.70;
  candidate.context_equivalent = true;
  candidate.logit = logit_of(0.981);
  EXPECT_TRUE(decide(candidate, policy).serve) << "a true paraphrase far under tau";
  EXPECT_NEAR(decide(candidate, policy).probability, 0.981, 1e-9);
  candidate.logit = logit_of(0.979);
  candidate.similarity = 0.99;
  EXPECT_FALSE(decide(candidate, policy).serve);
  EXPECT_EQ(decide(candidate, policy).reason, MissReason::kVerifier);
  candidate.logit = logit_of(0.981);
  policy.tau = 0.90;
  EXPECT_FALSE(decide(candidate, policy).serve) << "this user's hits were wrong before";
  policy.tau = policy.initial_tau;
  policy.raise = 0.995;
  EXPECT_EQ(decide(candidate, policy).reason, MissReason::kBelowThreshold);
  candidate.refusing_guard = "numbers";
  EXPECT_EQ(decide(candidate, policy).reason, MissReason::kGuard);
}

TEST(Decide, TauLoosensTheVerifiedBarByOneNatAtMost) {
  Policy policy;
  policy.decision = DecisionPolicy::kVerified;
  policy.target_error_rate = 0.25;
  const double calibrated = logit_of(0.75);
  EXPECT_DOUBLE_EQ(required_logit(policy), calibrated);
  policy.tau = 0.84;
  EXPECT_LT(required_logit(policy), calibrated);
  EXPECT_GT(required_logit(policy), calibrated - kTauLoosenMax);
  for (const double tau : {0.75, 0.65, 0.0}) {
    policy.tau = tau;
    EXPECT_DOUBLE_EQ(required_logit(policy), calibrated - kTauLoosenMax) << tau;
  }
  policy.tau = 0.99;
  EXPECT_GT(required_logit(policy), calibrated + 2) << "it may tighten as far as tau goes";
}

}  // namespace
}  // namespace enhanced_gptcache::match
