#include "app/cost_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enhanced_gptcache::app {
namespace {

std::vector<config::Price> table() { return {{"gpt-4o-mini", 0.15, 0.6}, {"gpt-4o*", 2.5, 10}}; }

bool holds(const metrics::Registry& registry, const std::string& line) {
  return registry.prometheus_text().find(line + "\n") != std::string::npos;
}

TEST(CostModel, TheFirstRowThatMatchesCounts) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.set(table(), "EUR");
  costs.count("gpt-4o-mini", {}, {1'000'000, 500'000});
  costs.count("gpt-4o-2024-08-06", {2'000'000, 100'000}, {});
  EXPECT_TRUE(holds(registry, R"(cost_spent_total{model="gpt-4o-mini",currency="EUR"} 0.45)"));
  EXPECT_TRUE(holds(registry, R"(cost_saved_total{model="gpt-4o*",currency="EUR"} 6)"));
  EXPECT_TRUE(holds(registry, R"(cost_saved_total{model="gpt-4o-mini",currency="EUR"} 0)"));
  const auto shown = costs.json();
  EXPECT_EQ(shown["currency"], "EUR");
  EXPECT_DOUBLE_EQ(shown["saved"].get<double>(), 6);
  EXPECT_DOUBLE_EQ(shown["spent"].get<double>(), 0.45);
  EXPECT_EQ(shown["models"].size(), 2U);
}

TEST(CostModel, WithoutARowThereAreTokensOnly) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.count("anything", {3, 4}, {});
  EXPECT_TRUE(costs.json().is_null());
  EXPECT_TRUE(holds(registry, R"(model_tokens_total{model="unpriced",use="saved",kind="prompt"} 3)"));
  EXPECT_TRUE(holds(registry, R"(model_tokens_total{model="unpriced",use="saved",kind="completion"} 4)"));
  EXPECT_EQ(registry.prometheus_text().find("cost_saved_total{"), std::string::npos);
}

TEST(CostModel, ACounterNeverGoesBack) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.set(table(), "USD");
  costs.count("gpt-4o-mini", {}, {1'000'000, 0});
  costs.set({}, "USD");
  costs.count("gpt-4o-mini", {}, {1'000'000, 0});
  EXPECT_TRUE(holds(registry, R"(cost_spent_total{model="gpt-4o-mini",currency="USD"} 0.15)"));
  costs.set({{"gpt-4o-mini", 1, 1}}, "USD");
  costs.count("gpt-4o-mini", {}, {1'000'000, 0});
  EXPECT_TRUE(holds(registry, R"(cost_spent_total{model="gpt-4o-mini",currency="USD"} 1.15)"));
}

TEST(CostModel, AnAbsurdCountIsNoUndefinedBehaviour) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.set({{"*", config::kPriceHighest, config::kPriceHighest}}, "USD");
  costs.count("m", {}, {UINT64_MAX / 2, UINT64_MAX / 2});
  EXPECT_GT(costs.json()["spent"].get<double>(), 0);
}

}  // namespace
}  // namespace enhanced_gptcache::app
