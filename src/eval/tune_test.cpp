#include "eval/tune.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "eval/memo_embedder.h"
#include "eval/run_fixture.h"

namespace enhanced_gptcache::eval {
namespace {

Options adaptive() {
  Options options;
  options.decision = DecisionPolicy::kAdaptive;
  return options;
}

TEST(Knobs, FollowThePolicy) {
  Options options;
  options.decision = DecisionPolicy::kStatic;
  EXPECT_EQ(knob_of(options), Knob::kSimilarityThreshold);
  EXPECT_EQ(turned(options, Knob::kSimilarityThreshold, 0.9).similarity_threshold, 0.9);
  EXPECT_EQ(knob_of(adaptive()), Knob::kTau);
  const Options tau = turned(adaptive(), Knob::kTau, 0.9);
  EXPECT_EQ(tau.tau.initial_tau, 0.9);
  EXPECT_EQ(tau.similarity_threshold, 0.65);
  EXPECT_EQ(turned(adaptive(), Knob::kTau, 0.6).similarity_threshold, 0.6) << "tau is never under the floor";
  Options unlearning = adaptive();
  unlearning.tau.enabled = false;
  EXPECT_EQ(turned(unlearning, Knob::kTau, 0.9).similarity_threshold, 0.9);
  EXPECT_EQ(turned(adaptive(), Knob::kTargetErrorRate, 0.1).tau.target_error_rate, 0.1);
  Options verified;
  verified.decision = DecisionPolicy::kVerified;
  EXPECT_EQ(knob_of(verified), Knob::kTargetErrorRate);
  for (const Knob knob : {Knob::kTau, Knob::kTargetErrorRate}) EXPECT_GT(values_of(knob).size(), 10U);
}

TEST_F(RunTest, SweepOfPairsAndStreamsFollowsTheThreshold) {
  const auto memo = remembering(embedder_);
  const std::vector<PairRow> rows = {pair(kPrinter, kPrinterToo, true), pair(kWhales, kWhalesToo, false)};
  for (const Options& options : {static_at(0.65), adaptive()}) {
    const auto curve = sweep_pairs(options, memo, rows, {2, false, 0});
    ASSERT_TRUE(curve);
    EXPECT_EQ(curve->points.front().right, 1U);
    EXPECT_EQ(curve->points.front().wrong, 1U);
    EXPECT_EQ(curve->points.front().labels, 2U);
    for (size_t i = 1; i < curve->points.size(); ++i) {
      EXPECT_LE(curve->points[i].right, curve->points[i - 1].right);
      EXPECT_LE(curve->points[i].wrong, curve->points[i - 1].wrong);
    }
  }
  const size_t calls = embedder_->calls();
  EXPECT_EQ(calls, 4U) << "each text is embedded once, whatever the number of points";
  const std::vector<StreamRow> stream = {{kPrinter, "p", {}, true}, {kPrinterToo, "p", {}, true}};
  const auto curve = sweep_stream(static_at(0.65), memo, stream, in_order(2));
  EXPECT_EQ(curve->points.front().right, 1U);
  EXPECT_EQ(curve->points.front().possible, 1U);
  EXPECT_EQ(curve->points.front().labels, 1U);
  EXPECT_EQ(to_json(*curve)["points"][0]["recall"], 1.0);
  EXPECT_NE(to_text(*curve).find("cache.similarity_threshold"), std::string::npos);
}

TEST(Svg, IsWholeAndEscaped) {
  Curve curve;
  curve.name = "a<b&c";
  curve.points = {{0.8, 10, 5, 5, 1, 0, 10}, {0.9, 10, 5, 4, 0, 0, 10}};
  const std::string svg = to_svg({curve, curve}, "x > y");
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("a&lt;b&amp;c"), std::string::npos);
  EXPECT_EQ(svg.find("a<b"), std::string::npos);
  EXPECT_EQ(svg.find("http", svg.find('>')), std::string::npos) << "it loads nothing";
  EXPECT_EQ(std::count(svg.begin(), svg.end(), '\n') > 20, true);
  EXPECT_TRUE(to_svg({}, "").ends_with("</svg>\n"));
}

/// `right` correct and `wrong` incorrect decisions at one similarity.
void add(std::vector<ShadowRow>& rows, double similarity, int right, int wrong) {
  for (int i = 0; i < right + wrong; ++i) rows.push_back({similarity, similarity, i < right});
}

TEST(Shadow, CurveByHand) {
  std::vector<ShadowRow> rows;
  add(rows, 0.955, 90, 1);
  add(rows, 0.835, 50, 10);
  rows.push_back({0.5, {}, true});
  const Curve curve = curve_of(rows, Knob::kTau);
  for (const CurvePoint& point : curve.points) {
    EXPECT_EQ(point.labels, 152U);
    EXPECT_EQ(point.possible, 141U);
    EXPECT_EQ(point.right, point.value <= 0.835 ? 140U : point.value <= 0.955 ? 90U : 0U) << point.value;
    EXPECT_EQ(point.wrong, point.value <= 0.835 ? 11U : point.value <= 0.955 ? 1U : 0U);
  }
  const Curve by_probability = curve_of(rows, Knob::kTargetErrorRate);
  for (const CurvePoint& point : by_probability.points)
    EXPECT_EQ(point.wrong, point.value >= 0.165 ? 11U : point.value >= 0.045 ? 1U : 0U) << point.value;
}

TEST(Propose, TheMostLenientThatIsProven) {
  std::vector<ShadowRow> rows;
  add(rows, 0.955, 1000, 2);
  add(rows, 0.905, 500, 40);
  add(rows, 0.705, 10, 90);
  const Curve curve = curve_of(rows, Knob::kTau);
  const auto proposal = propose(curve, adaptive(), 0.02);
  ASSERT_TRUE(proposal);
  EXPECT_TRUE(proposal->is_proven);
  EXPECT_EQ(proposal->initial_tau, 0.91) << "just above the neighbours that are wrong too often";
  EXPECT_EQ(proposal->target_error_rate, 0.02);
  EXPECT_EQ(proposal->similarity_threshold, 0.9) << "the floor loses next to nothing";
  EXPECT_EQ(proposal->point.wrong, 2U);
  Options fixed = adaptive();
  fixed.decision = DecisionPolicy::kStatic;
  const auto at_floor = propose(curve_of(rows, Knob::kSimilarityThreshold), fixed, 0.02);
  EXPECT_EQ(at_floor->similarity_threshold, 0.91);
}

TEST(Propose, SaysWhenItIsNotProvenAndWhenThereIsNone) {
  std::vector<ShadowRow> few;
  add(few, 0.955, 60, 1);
  add(few, 0.705, 40, 40);
  const auto unproven = propose(curve_of(few, Knob::kTau), adaptive(), 0.02);
  ASSERT_TRUE(unproven);
  EXPECT_FALSE(unproven->is_proven);
  EXPECT_EQ(unproven->point.wrong, 1U);
  std::vector<ShadowRow> bad;
  add(bad, 0.995, 50, 50);
  const auto none = propose(curve_of(bad, Knob::kTau), adaptive(), 0.02);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_NE(none.error().message.find("0.5"), std::string::npos) << none.error().message;
}

TEST(Propose, ProbabilitiesGiveATargetErrorRate) {
  std::vector<ShadowRow> rows;
  add(rows, 0.985, 3000, 15);
  add(rows, 0.955, 800, 40);
  const auto proposal = propose(curve_of(rows, Knob::kTargetErrorRate), adaptive(), 0.01);
  ASSERT_TRUE(proposal);
  EXPECT_EQ(proposal->target_error_rate, 0.04);
  EXPECT_EQ(proposal->initial_tau, 0.85) << "the settings' own";
}

TEST(Yaml, HoldsTheNumbersAndEverySectionNeeded) {
  Proposal proposal;
  proposal.point = {0.9, 200, 100, 80, 1, 0, 200};
  proposal.similarity_threshold = 0.7;
  proposal.initial_tau = 0.9;
  proposal.target_error_rate = 0.02;
  const std::string yaml = to_yaml(proposal, "adaptive", 200);
  for (const char* part :
       {"decision: adaptive", "similarity_threshold: 0.7\n", "initial_tau: 0.9\n",
        "target_error_rate: 0.02\n", "context: {}", "pca: {}", "200 labels", "1 of 81 hits"})
    EXPECT_NE(yaml.find(part), std::string::npos) << part << " in " << yaml;
}

TEST(Merge, AddsPointByPoint) {
  std::vector<ShadowRow> rows;
  add(rows, 0.9, 5, 5);
  Curve sum;
  merge(sum, curve_of(rows, Knob::kTau));
  merge(sum, curve_of(rows, Knob::kTau));
  EXPECT_EQ(sum.points.front().right, 10U);
  EXPECT_EQ(sum.points.front().labels, 20U);
  EXPECT_EQ(sum.points.front().value, values_of(Knob::kTau).front());
}

}  // namespace
}  // namespace enhanced_gptcache::eval
