#include "eval/shadow_report.h"

#include <nlohmann/json.hpp>

#include "eval/run_fixture.h"

namespace enhanced_gptcache::eval {
namespace {

class ShadowReportTest : public RunTest {
 protected:
  static TrafficRow row(const std::string& query, std::optional<std::string> response) {
    TrafficRow row;
    row.question.text = query;
    row.response = std::move(response);
    return row;
  }
};

TEST_F(ShadowReportTest, CountsWhatWouldHaveBeenServed) {
  const std::vector<TrafficRow> rows = {
      row(kPrinter, "Press the button."), row(kWhales, "They do."),
      row(kPrinter, "Press the button."), row(kPrinterToo, "press the button"),
      row(kWhalesToo, std::nullopt),      row(kPrinterElsewhere, "Elsewhere.")};
  const auto report = shadow({static_at(0.7), embedder_}, rows, 1);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->requests, 6U);
  EXPECT_EQ(report->exact, 1U);
  EXPECT_EQ(report->semantic, 2U);
  EXPECT_EQ(report->agreed, 1U);
  EXPECT_EQ(report->disagreed + report->undecided, 0U);
  EXPECT_EQ(report->doubtful.size(), 1U);
  EXPECT_DOUBLE_EQ(report->hit_rate(), 0.5);
  uint64_t missed = 0;
  for (const auto& [reason, count] : report->miss_reasons) missed += count;
  EXPECT_EQ(missed, 3U);
  const auto json = to_json(*report, rows);
  EXPECT_EQ(json["would_be_hits"]["semantic"], 2);
  EXPECT_NE(to_text(*report, rows).find("3 would have been answered (50.0 %)"), std::string::npos);
}

TEST_F(ShadowReportTest, NothingLikeItIsNoHit) {
  const std::vector<TrafficRow> rows = {row(kPrinter, "a"), row(kWhales, "b")};
  const auto report = shadow({static_at(0.7), embedder_}, rows, 5);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->exact + report->semantic, 0U);
  EXPECT_TRUE(to_json(*report, rows)["model_error_estimate"].is_null());
}

}  // namespace
}  // namespace enhanced_gptcache::eval
