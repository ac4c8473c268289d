#include "match/error_budget.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "match/verifier.h"

namespace enhanced_gptcache::match {
namespace {

using enum LabelSource;

/// A stream of candidates whose true log odds are the stated ones minus `bias`; `labelled` of the served ones
/// get a label. What was served and how much of it was wrong, in the second half.
struct Outcome {
  int served = 0;
  int wrong = 0;
  double share() const { return static_cast<double>(wrong) / std::max(1, served); }
};
Outcome play(ErrorBudget& budget, double bias, double target, double labelled, int requests, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> chance(0, 1);
  std::uniform_real_distribution<double> stated(-1, 6);
  Outcome outcome;
  for (int i = 0; i < requests; ++i) {
    const double logit = stated(random);
    budget.observe(logit);
    if (logit < logit_of(1 - target) + budget.shift()) continue;
    const bool correct = chance(random) < probability_of_logit(logit - bias);
    if (i >= requests / 2) {
      ++outcome.served;
      outcome.wrong += correct ? 0 : 1;
    }
    if (chance(random) < labelled) budget.label(logit, correct, kFeedback, target);
  }
  return outcome;
}

TEST(ErrorBudget, WithoutLabelsNothingMoves) {
  ErrorBudget budget;
  for (int i = 0; i < 1000; ++i) budget.observe(i % 7);
  budget.refresh(0.1);
  EXPECT_EQ(budget.shift(), 0);
  EXPECT_EQ(budget.view().labels(), 0U);
}

TEST(ErrorBudget, RightLabelsAloneNeverTightenAndLoosenWithinTheirBound) {
  ErrorBudget budget;
  for (int i = 0; i < 2000; ++i) {
    budget.observe(4.0);
    budget.label(4.0, true, kFeedback, 0.05);
    ASSERT_LE(budget.shift(), 0) << i;
    ASSERT_GE(budget.shift(), -kLoosenMax) << i;
  }
  EXPECT_LT(budget.shift(), 0);
}

TEST(ErrorBudget, FewLabelsDoNotLoosen) {
  ErrorBudget budget;
  for (int i = 0; i < 5; ++i) {
    budget.observe(4.0);
    budget.label(4.0, true, kFeedback, 0.02);
  }
  EXPECT_GE(budget.shift(), 0);
}

TEST(ErrorBudget, AnOverconfidentVerifierIsReinedIn) {
  ErrorBudget learning;
  const Outcome with = play(learning, 2.5, 0.1, 0.1, 20'000, 1);
  EXPECT_GT(learning.shift(), 0.5);
  EXPECT_LE(with.share(), 0.1);
  EXPECT_GT(with.served, 0);
  ErrorBudget deaf;
  const Outcome without = play(deaf, 2.5, 0.1, 0, 20'000, 1);
  EXPECT_GT(without.share(), 0.12);
}

TEST(ErrorBudget, ATrueVerifierMaySpendItsBudget) {
  ErrorBudget learning;
  const Outcome with = play(learning, 0, 0.05, 0.1, 20'000, 2);
  ErrorBudget deaf;
  const Outcome without = play(deaf, 0, 0.05, 0, 20'000, 2);
  EXPECT_LT(learning.shift(), 0);
  EXPECT_GT(with.served, without.served);
  EXPECT_LE(with.share(), 0.05);
}

/// One confirmation says nothing against the threshold of the settings, wherever the tenant's traffic lies.
TEST(ErrorBudget, ARightLabelNeverTightensALenientBar) {
  for (const double logit : {1.2, 2.0, 4.0}) {
    ErrorBudget budget;
    for (int i = 0; i < 20; ++i) budget.observe(logit);
    budget.label(logit, true, kFeedback, 0.25);
    EXPECT_EQ(budget.shift(), 0) << logit;
    for (int i = 0; i < 10; ++i) budget.label(logit, false, kFeedback, 0.25);
    EXPECT_GT(budget.shift(), 0) << logit;
  }
}

/// Of many tenants whose verifier is as good as it says, the interval misses the truth for few, although it
/// is looked at after every label.
TEST(ErrorBudget, TheIntervalHoldsAtEveryMoment) {
  int missed = 0;
  constexpr int kTenants = 200;
  for (int tenant = 0; tenant < kTenants; ++tenant) {
    std::mt19937 random(static_cast<unsigned>(tenant));
    std::uniform_real_distribution<double> chance(0, 1);
    ErrorBudget budget;
    bool is_missed = false;
    for (int i = 0; i < 200; ++i) {
      budget.observe(4.0);
      budget.label(4.0, chance(random) < probability_of_logit(4.0), kShadow, 0.05);
      const BudgetView view = budget.view();
      const double truth = probability_of_logit(-4.0);
      // The imagined decision at the threshold weighs one of i + 2.
      const double slack = 1.0 / (i + 2);
      is_missed = is_missed || view.error_low > truth + slack || view.error_high < truth - slack;
    }
    missed += is_missed ? 1 : 0;
  }
  EXPECT_LE(missed, kTenants / 10);
}

TEST(ErrorBudget, NonsenseDoesNoHarm) {
  ErrorBudget budget;
  for (const double odd : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    budget.observe(odd);
    budget.label(odd, false, kJudge, 0.1);
    EXPECT_TRUE(std::isfinite(budget.shift()));
    EXPECT_GE(budget.shift(), 0);
  }
  for (int i = 0; i < 5000; ++i) budget.label(8, false, kFeedback, 0.1);
  EXPECT_LE(budget.shift(), kTightenMax);
}

TEST(ErrorBudget, SurvivesARoundTripAndRefusesDamage) {
  ErrorBudget budget;
  play(budget, 2, 0.1, 0.1, 3000, 3);
  StateWriter writer("EGPTCTST", 1);
  budget.save(writer);
  const std::string bytes = std::move(writer).finish();
  auto reader = StateReader::open(bytes, "EGPTCTST", 1);
  ASSERT_TRUE(reader);
  ErrorBudget again;
  ASSERT_TRUE(again.restore(*reader));
  EXPECT_EQ(reader->left(), 0U);
  again.refresh(0.1);
  EXPECT_EQ(again.shift(), budget.shift());
  EXPECT_EQ(again.view().labels(), budget.view().labels());
  StateWriter cut("EGPTCTST", 1);
  cut.put(std::numeric_limits<double>::quiet_NaN());
  const std::string bad = std::move(cut).finish();
  auto bad_reader = StateReader::open(bad, "EGPTCTST", 1);
  ASSERT_TRUE(bad_reader);
  EXPECT_FALSE(again.restore(*bad_reader));
  EXPECT_EQ(again.view().labels(), budget.view().labels());
}

TEST(EvidenceShift, ShrinksAndNeverLoosens) {
  EXPECT_EQ(evidence_shift(0, 0, 0.25), 0);
  EXPECT_EQ(evidence_shift(3, 0, 0.25), 0);
  EXPECT_GT(evidence_shift(0.02, 1, 0.25), 1);
  EXPECT_GT(evidence_shift(0.02, 2, 0.25), evidence_shift(0.02, 1, 0.25));
  EXPECT_LT(evidence_shift(0.02, 1, 2), evidence_shift(0.02, 1, 0.25));
  EXPECT_LE(evidence_shift(0, 1e9, 0.25), kTightenMax);
}

}  // namespace
}  // namespace enhanced_gptcache::match
