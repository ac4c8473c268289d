#include "eval/replay.h"

#include <nlohmann/json.hpp>

#include "eval/run_fixture.h"

namespace enhanced_gptcache::eval {
namespace {

TrafficRow request(std::string query, std::optional<std::string> response = {},
                   std::optional<int64_t> timestamp_ms = {}) {
  return {{std::move(query), {}}, {}, "default", std::move(response), timestamp_ms};
}

class ReplayTest : public RunTest {
 protected:
  ReplayReport run(const Options& before, const Options& after, const std::vector<TrafficRow>& rows) {
    auto report = replay({before, embedder_}, {after, embedder_}, rows, 10);
    EXPECT_TRUE(report) << report.error().message;
    return std::move(*report);
  }
};

TEST_F(ReplayTest, ShowsWhatAChangeWouldDo) {
  Options without = static_at(0.65);
  without.guards_off = {"numbers"};
  const std::vector<TrafficRow> rows = {
      request(kPrinter, "press the button"), request(kPrinterToo, "press the button"),
      request(kPrinterElsewhere, "pull the plug"), request(kWhales), request(kPrinter, "press the button")};
  const ReplayReport report = run(static_at(0.65), without, rows);
  EXPECT_EQ(report.requests, 5U);
  EXPECT_EQ(report.before.hits, 2U);
  EXPECT_EQ(report.before.exact_hits, 1U);
  EXPECT_EQ(report.after.hits, 3U);
  EXPECT_EQ(report.before.same_answer, 2U);
  EXPECT_EQ(report.after.other_answer, 1U) << "the hit that the guard prevented";
  EXPECT_EQ(report.before.miss_reasons.at("guard:numbers"), 1U);
  EXPECT_EQ(report.changed[static_cast<size_t>(ChangeKind::kGained)], 1U);
  EXPECT_EQ(report.changed[static_cast<size_t>(ChangeKind::kLost)], 0U);
  ASSERT_EQ(report.examples.size(), 1U);
  EXPECT_EQ(report.examples[0].request, 2U);
  EXPECT_EQ(report.examples[0].after.source, 0U);
  const auto json = to_json(report, rows);
  EXPECT_EQ(json["changed"]["miss to hit"], 1);
  EXPECT_EQ(json["examples"][0]["candidate"]["answer_of"], kPrinter);
  EXPECT_EQ(json["candidate"]["hit_rate"], 0.6);
  EXPECT_NE(to_text(report, rows).find("request 3, miss to hit"), std::string::npos);
}

TEST_F(ReplayTest, TheSameConfigurationChangesNothing) {
  const std::vector<TrafficRow> rows = {request(kPrinter), request(kPrinterToo), request(kWhalesToo),
                                        request(kWhales)};
  const ReplayReport report = run(static_at(0.65), static_at(0.65), rows);
  EXPECT_EQ(report.changed, (std::array<uint64_t, 3>{}));
  EXPECT_EQ(report.before.hits, report.after.hits);
  EXPECT_EQ(report.before.hits, 2U);
}

TEST_F(ReplayTest, LostHitsAndOtherEntries) {
  const std::vector<TrafficRow> rows = {request(kWhales), request(kWhalesToo),
                                        request(kWhalesToo + " and night")};
  const ReplayReport report = run(static_at(0.65), static_at(0.999), rows);
  EXPECT_GT(report.changed[static_cast<size_t>(ChangeKind::kLost)], 0U);
}

TEST_F(ReplayTest, TimestampsMakeLifetimesCount) {
  Options mortal = static_at(0.65);
  mortal.ttl_ms = 1000;
  mortal.ttl_jitter = 0;
  const std::vector<TrafficRow> rows = {request(kPrinter, {}, 1'000'000), request(kPrinter, {}, 1'000'500),
                                        request(kPrinter, {}, 1'002'000), request(kPrinter, {}, 5)};
  const ReplayReport report = run(static_at(0.65), mortal, rows);
  EXPECT_EQ(report.before.hits, 3U);
  EXPECT_EQ(report.after.hits, 2U) << "expired once; time never runs backwards";
  EXPECT_EQ(report.changed[static_cast<size_t>(ChangeKind::kLost)], 1U);
}

TEST_F(ReplayTest, NamespacesAndModelsStayApart) {
  TrafficRow elsewhere = request(kPrinter);
  elsewhere.name_space = "other";
  TrafficRow other_model = request(kPrinter);
  other_model.model = "m2";
  const ReplayReport report =
      run(static_at(0.65), static_at(0.65), {request(kPrinter), elsewhere, other_model, request(kPrinter)});
  EXPECT_EQ(report.before.hits, 1U);
}

TEST_F(ReplayTest, AnswersTooLargeToKeepAreNoFailure) {
  Options small = static_at(0.65);
  small.entry_bytes_max = 5000;
  const std::string large(6000, 'x');
  const ReplayReport report =
      run(static_at(0.65), small, {request(kPrinter, large), request(kPrinter, large)});
  EXPECT_EQ(report.before.hits, 1U);
  EXPECT_EQ(report.after.hits, 0U);
}

TEST_F(ReplayTest, OptionsThatAreWrongAreSaid) {
  EXPECT_FALSE(replay({static_at(2), embedder_}, {static_at(0.5), embedder_}, {request(kPrinter)}, 1));
}

}  // namespace
}  // namespace enhanced_gptcache::eval
