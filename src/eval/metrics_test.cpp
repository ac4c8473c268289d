#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace enhanced_gptcache::eval {
namespace {

TEST(Wilson, AgreesWithWorkedExamples) {
  // Agresti and Coull 1998 use 0 of 10 and the like; these were worked by hand from the formula.
  const Interval none = wilson(0, 10);
  EXPECT_NEAR(none.low, 0, 1e-12);
  EXPECT_NEAR(none.high, 0.2775, 5e-5);  // 3.8415 / 13.8415
  const Interval half = wilson(5, 10);
  EXPECT_NEAR(half.low, 0.2366, 5e-5);
  EXPECT_NEAR(half.high, 0.7634, 5e-5);
  const Interval all = wilson(10, 10);
  EXPECT_NEAR(all.low, 1 - 0.2775, 5e-5);
  EXPECT_NEAR(all.high, 1, 1e-12);
  const Interval one_percent = wilson(10, 1000);
  EXPECT_NEAR(one_percent.low, 0.005442, 5e-6);
  EXPECT_NEAR(one_percent.high, 0.018306, 5e-6);
}

TEST(Wilson, WithoutTrialsAnythingIsPossible) {
  EXPECT_EQ(wilson(0, 0).low, 0);
  EXPECT_EQ(wilson(0, 0).high, 1);
}

TEST(CountsTest, SharesByHand) {
  Counts counts;
  for (int i = 0; i < 8; ++i) counts.add(true, i < 6);
  for (int i = 0; i < 10; ++i) counts.add(false, i < 2);
  EXPECT_EQ(counts.positives, 8U);
  EXPECT_EQ(counts.false_hits, 2U);
  EXPECT_DOUBLE_EQ(counts.precision(), 0.75);
  EXPECT_DOUBLE_EQ(counts.recall(), 0.75);
  EXPECT_DOUBLE_EQ(counts.f1(), 0.75);
  EXPECT_DOUBLE_EQ(counts.false_hit_rate(), 0.2);
  Counts twice = counts;
  twice += counts;
  EXPECT_EQ(twice.negatives, 20U);
  EXPECT_DOUBLE_EQ(twice.f1(), 0.75);
}

TEST(CountsTest, NothingCountedIsZeroNotNan) {
  const Counts counts;
  EXPECT_EQ(counts.precision(), 0);
  EXPECT_EQ(counts.recall(), 0);
  EXPECT_EQ(counts.f1(), 0);
  EXPECT_EQ(counts.false_hit_rate(), 0);
}

TEST(RocAuc, CountsPairsInTheRightOrder) {
  // Positives 0.9, 0.6; negatives 0.8, 0.4, 0.2: of six pairs five are in order.
  const std::vector<Scored> scored = {{0.9, true}, {0.8, false}, {0.6, true}, {0.4, false}, {0.2, false}};
  EXPECT_DOUBLE_EQ(*roc_auc(scored), 5.0 / 6.0);
}

TEST(RocAuc, TiesAreHalf) {
  const std::vector<Scored> tied = {{0.5, true}, {0.5, false}, {0.5, true}, {0.5, false}};
  EXPECT_DOUBLE_EQ(*roc_auc(tied), 0.5);
  const std::vector<Scored> some = {{0.7, true}, {0.5, true}, {0.5, false}, {0.1, false}};
  EXPECT_DOUBLE_EQ(*roc_auc(some), 3.5 / 4.0);
}

TEST(RocAuc, NeedsBothClasses) {
  const std::vector<Scored> one_class = {{0.5, true}, {0.4, true}};
  EXPECT_FALSE(roc_auc(one_class));
  EXPECT_FALSE(roc_auc({}));
  EXPECT_FALSE(recall_at_precision(one_class, 0.9));
}

TEST(RecallAtPrecision, TakesTheLongestPrefixThatIsPreciseEnough) {
  // From the top: + + - + -. Precision 1, 1, 2/3, 3/4, 3/5.
  const std::vector<Scored> scored = {{0.9, true}, {0.8, true}, {0.7, false}, {0.6, true}, {0.5, false}};
  EXPECT_DOUBLE_EQ(*recall_at_precision(scored, 0.9), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(*recall_at_precision(scored, 0.75), 1.0);
  EXPECT_DOUBLE_EQ(*recall_at_precision(scored, 1.0), 2.0 / 3.0);
}

TEST(RecallAtPrecision, ServesEqualScoresTogether) {
  const std::vector<Scored> scored = {{0.9, true}, {0.9, false}, {0.5, true}};
  EXPECT_DOUBLE_EQ(*recall_at_precision(scored, 0.9), 0.0);
  EXPECT_DOUBLE_EQ(*recall_at_precision(scored, 0.6), 1.0);
}

TEST(ReliabilityTest, ExpectedErrorByHand) {
  Reliability reliability;
  for (int i = 0; i < 10; ++i) reliability.add(0.95, i < 8);  // stated 0.95, observed 0.8
  for (int i = 0; i < 10; ++i) reliability.add(0.25, i < 3);  // stated 0.25, observed 0.3
  EXPECT_NEAR(reliability.expected_error(), (10 * 0.15 + 10 * 0.05) / 20, 1e-12);
  EXPECT_EQ(reliability.bins[9].count, 10U);
  EXPECT_EQ(reliability.bins[2].right, 3U);
}

TEST(ReliabilityTest, EdgesAndNonsenseStayInside) {
  Reliability reliability;
  for (const double value : {0.0, 1.0, -3.0, 7.0, std::numeric_limits<double>::quiet_NaN()})
    reliability.add(value, true);
  EXPECT_EQ(reliability.count, 5U);
  EXPECT_EQ(reliability.bins[0].count, 3U);
  EXPECT_EQ(reliability.bins[9].count, 2U);
  EXPECT_TRUE(std::isfinite(reliability.expected_error()));
  EXPECT_EQ(Reliability().expected_error(), 0);
}

TEST(Percentile, NearestRank) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(*percentile(values, 0.0), 1);
  EXPECT_EQ(*percentile(values, 0.5), 3);
  EXPECT_EQ(*percentile(values, 0.99), 5);
  EXPECT_EQ(*percentile(values, 1.0), 5);
  EXPECT_FALSE(percentile({}, 0.5));
}

}  // namespace
}  // namespace enhanced_gptcache::eval
