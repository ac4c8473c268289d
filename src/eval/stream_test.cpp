#include "eval/stream.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/report.h"
#include "eval/run_fixture.h"

namespace enhanced_gptcache::eval {
namespace {

StreamRow event(std::string question, std::string cluster, std::vector<std::string> unjudged = {}) {
  return {std::move(question), std::move(cluster), std::move(unjudged), true};
}

TEST_F(RunTest, StreamCountsTrueFalseUnjudgedAndLost) {
  StreamRow slot = event("What is the weather in Graz?", "printer");
  slot.slot_free = false;
  const std::vector<StreamRow> rows = {
      event(kPrinter, "printer"),                  // empty
      event(kPrinterToo, "printer"),               // true hit
      event(kPrinter, "printer"),                  // exact hit
      event(kPrinterElsewhere, "five"),            // refused by a guard, stored
      event(kWhales, "whales"),                    // no candidate
      event(kWhalesToo, "other whales"),           // false hit
      event(kWhalesToo, "sea", {"whales"}),        // unjudged
      event("Mending paper machines", "printer"),  // lost: nothing near
      slot,                                        // left out
  };
  const auto cache = open(static_at(0.65));
  const auto report = run_stream(*cache, rows, in_order(rows.size()), 4);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->events, 8U);
  EXPECT_EQ(report->left_out, 1U);
  EXPECT_EQ(report->possible, 3U);
  EXPECT_EQ(report->true_hits, 2U);
  EXPECT_EQ(report->false_hits, 1U);
  EXPECT_EQ(report->unjudged, 1U);
  EXPECT_EQ(report->exact_hits, 1U);
  EXPECT_EQ(report->miss_reasons.at("empty"), 1U);
  EXPECT_EQ(report->miss_reasons.at("guard:numbers"), 1U);
  EXPECT_EQ(report->lost_reasons.at("no_candidate"), 1U);
  EXPECT_EQ(report->served.count, 2U) << "without the exact and the unjudged hit";
  EXPECT_DOUBLE_EQ(report->wrong_per_100(), 12.5);
  EXPECT_EQ(cache->stats().entries, 0U) << "its namespace is flushed";
  ASSERT_EQ(report->examples.served_wrong.size(), 1U);
  EXPECT_EQ(report->examples.served_wrong[0].stored, kWhales);
  ASSERT_EQ(report->examples.refused_wrong.size(), 1U);
  EXPECT_EQ(report->examples.refused_wrong[0].answer.reason, "guard:numbers");

  const auto json = to_json(*report);
  EXPECT_EQ(json["false_among_hits"], number(1.0 / 3));
  EXPECT_EQ(json["false_among_hits_unjudged_counted"], 0.5);
  EXPECT_EQ(json["hit_rate"], 0.5);
  EXPECT_EQ(json["semantic_hits"], 3);
  EXPECT_NE(to_text(*report).find("possible hits 3"), std::string::npos);
}

TEST_F(RunTest, ExamplesAreTheNearest) {
  Examples examples(2);
  for (const double similarity : {0.7, 0.9, 0.8, 0.6}) {
    Answer answer;
    answer.has_candidate = answer.is_hit = true;
    answer.similarity = similarity;
    auto* list = examples.list_for(answer, false);
    ASSERT_EQ(list, &examples.served_wrong);
    if (examples.wants(*list, answer)) examples.add(*list, {{}, {}, {}, answer, {}});
  }
  ASSERT_EQ(examples.served_wrong.size(), 2U);
  EXPECT_EQ(examples.served_wrong[0].answer.similarity, 0.9);
  EXPECT_EQ(examples.served_wrong[1].answer.similarity, 0.8);
  EXPECT_EQ(examples.list_for(Answer(), true), nullptr);
}

TEST(Zipf, DrawsTheSameForASeedAndFollowsTheLaw) {
  std::vector<StreamRow> rows;
  for (int i = 0; i < 300; ++i)
    rows.push_back(event("question " + std::to_string(i), std::to_string(i % 100)));
  const auto order = zipf_order(rows, 1.0, 20'000, 1).value();
  EXPECT_EQ(order, zipf_order(rows, 1.0, 20'000, 1).value());
  EXPECT_NE(order, zipf_order(rows, 1.0, 20'000, 2).value());
  std::map<std::string, size_t> by_cluster;
  std::set<size_t> members;
  for (const size_t row : order) ++by_cluster[rows[row].cluster];
  for (const size_t row : order) members.insert(row);
  size_t most = 0;
  for (const auto& [cluster, count] : by_cluster) most = std::max(most, count);
  // The first of 100 clusters has 1 / H(100) = 19.3 % of the draws; five standard deviations are 1.4 %.
  EXPECT_NEAR(static_cast<double>(most) / 20'000, 1 / 5.18738, 0.014);
  EXPECT_GT(members.size(), 250U) << "any member of a cluster may be drawn";
}

TEST(Zipf, NeverDrawsWhatDependsOnSlots) {
  std::vector<StreamRow> rows = {event("a", "1"), event("b", "2")};
  rows[0].slot_free = false;
  const auto order = zipf_order(rows, 1.0, 100, 1).value();
  EXPECT_EQ(order, std::vector<size_t>(100, 1));
  rows[1].slot_free = false;
  EXPECT_FALSE(zipf_order(rows, 1.0, 100, 1));
  EXPECT_FALSE(zipf_order({}, 1.0, 100, 1));
}

TEST_F(RunTest, RepeatedRequestsAreExactHits) {
  const std::vector<StreamRow> rows = {event(kPrinter, "p"), event(kWhales, "w")};
  const auto order = zipf_order(rows, 1.0, 50, 3).value();
  const auto report = run_stream(*open(static_at(0.65)), rows, order, 0);
  EXPECT_EQ(report->events, 50U);
  EXPECT_EQ(report->exact_hits, 48U);
  EXPECT_EQ(report->true_hits, 48U);
  EXPECT_EQ(report->possible, 48U);
}

}  // namespace
}  // namespace enhanced_gptcache::eval
