#include "admin/health.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enhanced_gptcache::admin {
namespace {

using nlohmann::json;

HealthInputs good_inputs() {
  HealthInputs inputs;
  inputs.probe_ms = []() -> Result<double> { return 1.5; };
  inputs.memory_percent = [] { return 10.0; };
  inputs.configuration = [] { return ConfigurationState{}; };
  inputs.components = {{"pca_wrapper", [] { return ComponentState{}; }},
                       {"embedder", [] { return ComponentState{}; }}};
  return inputs;
}

TEST(Health, AllGood) {
  const auto report = check_health(good_inputs(), 1500);
  const json body = json::parse(report.json);
  EXPECT_EQ(report.http_status(), 200);
  EXPECT_EQ(body["overall_status"], "healthy");
  EXPECT_EQ(body["timestamp"], 1.5);
  EXPECT_EQ(body["checks"]["cache_functionality"]["response_time_ms"], 1.5);
  EXPECT_EQ(body["checks"]["cache_functionality"]["threshold_ms"], 100);
  EXPECT_EQ(body["checks"]["memory_usage"]["threshold_critical"], 90);
  EXPECT_EQ(body["checks"]["components"]["pca_wrapper"]["enabled"], true);
}

struct Case {
  const char* check;
  const char* status;
  int http_status;
  void (*spoil)(HealthInputs&);
};

class HealthFails : public testing::TestWithParam<Case> {};

TEST_P(HealthFails, TheWorstCheckWins) {
  HealthInputs inputs = good_inputs();
  GetParam().spoil(inputs);
  const auto report = check_health(inputs, 0);
  const json body = json::parse(report.json);
  EXPECT_EQ(body["overall_status"], GetParam().status);
  EXPECT_EQ(report.http_status(), GetParam().http_status);
  const json& check = body["checks"][GetParam().check];
  EXPECT_EQ(check.contains("status") ? check["status"] : check["embedder"]["status"], GetParam().status);
}

INSTANTIATE_TEST_SUITE_P(
    Each, HealthFails,
    testing::Values(
        Case{"cache_functionality", "warning", 200,
             [](HealthInputs& i) { i.probe_ms = []() -> Result<double> { return 101.0; }; }},
        Case{"cache_functionality", "unhealthy", 503,
             [](HealthInputs& i) {
               i.probe_ms = []() -> Result<double> { return fail(ErrorCode::kInternal, "broken"); };
             }},
        Case{"memory_usage", "warning", 200, [](HealthInputs& i) { i.memory_percent = [] { return 80.0; }; }},
        Case{"memory_usage", "unhealthy", 503,
             [](HealthInputs& i) { i.memory_percent = [] { return 90.0; }; }},
        Case{"configuration", "warning", 200,
             [](HealthInputs& i) {
               i.configuration = [] { return ConfigurationState{true, "line 3: bad"}; };
             }},
        Case{"configuration", "unhealthy", 503,
             [](HealthInputs& i) { i.configuration = [] {
                                     return ConfigurationState{false, "bad"};
                                   }; }},
        Case{"components", "warning", 200,
             [](HealthInputs& i) {
               i.components[1].second = [] { return ComponentState{HealthStatus::kWarning, true, "slow"}; };
             }},
        Case{"components", "unhealthy", 503, [](HealthInputs& i) {
               i.components[1].second = [] { return ComponentState{HealthStatus::kUnhealthy, true, "gone"}; };
             }}));

}  // namespace
}  // namespace enhanced_gptcache::admin
