#include "match/tau_aggregate.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::match {
namespace {

TEST(CombineTaus, OneAndTwoReportsAreAveragedBySamples) {
  EXPECT_DOUBLE_EQ(combine_taus({{0.9, 5}}), 0.9);
  EXPECT_NEAR(combine_taus({{0.8, 1}, {0.9, 3}}), 0.875, 1e-12);
  EXPECT_DOUBLE_EQ(combine_taus({{0.7, 0}}), 0.7);
}

TEST(CombineTaus, ThreeGiveTheMiddleOne) {
  EXPECT_DOUBLE_EQ(combine_taus({{0.99, 1000}, {0.8, 1}, {0.65, 1}}), 0.8);
}

TEST(CombineTaus, ExtremesBelowTheTrimShareHaveNoSay) {
  std::vector<TauReport> reports(7, TauReport{0.8, 10});
  for (int i = 0; i < 3; ++i) reports.push_back({0.99, 1'000'000});
  EXPECT_NEAR(combine_taus(reports), 0.8, 1e-12);
}

TEST(CombineTaus, WeightIsCappedAgainstTheMedian) {
  // Nothing is trimmed away from two; the busy one counts twice the median at most (its own here).
  EXPECT_NEAR(combine_taus({{0.8, 10}, {0.9, 10}, {0.9, 100000}, {0.8, 10}}), (0.8 * 10 + 0.9 * 10) / 20,
              1e-12);
}

TEST(StepTowards, IsBounded) {
  EXPECT_DOUBLE_EQ(step_towards(0.8, 0.99, 0.01), 0.81);
  EXPECT_DOUBLE_EQ(step_towards(0.8, 0.65, 0.01), 0.79);
  EXPECT_DOUBLE_EQ(step_towards(0.8, 0.805, 0.01), 0.805);
}

TEST(DrawRank, ChangesWithTheRound) {
  EXPECT_EQ(draw_rank("a", 1), draw_rank("a", 1));
  EXPECT_NE(draw_rank("a", 1), draw_rank("a", 2));
  EXPECT_NE(draw_rank("a", 1), draw_rank("b", 1));
}

}  // namespace
}  // namespace enhanced_gptcache::match
