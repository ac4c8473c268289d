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
  EXPECT_EQ(costs.json()["spent"].get<double>(), 1e6) << "a request costs a million at most";
}

TEST(CostModel, ACounterOfMoneyStopsBeforeItWrapsAround) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.set({{"*", config::kPriceHighest, config::kPriceHighest}}, "USD");
  for (int i = 0; i < 20'000; ++i) costs.count("m", {}, {UINT64_MAX / 2, UINT64_MAX / 2});
  EXPECT_EQ(costs.json()["spent"].get<double>(), 9e9);
}

TEST(CostModel, ThereAreNoMoreSeriesHoweverOftenTheTableChanges) {
  metrics::Registry registry;
  CostModel costs(registry);
  for (int i = 0; i < 2'000; ++i) costs.set({{"m" + std::to_string(i), 1, 1}}, "C" + std::to_string(i));
  costs.count("m1999", {}, {1'000'000, 0});
  EXPECT_TRUE(holds(registry, R"(cost_spent_total{model="other",currency="other"} 1)"));
  const std::string text = registry.prometheus_text();
  size_t series = 0;
  for (size_t at = text.find("\ncost_spent_total{"); at != text.npos;
       at = text.find("\ncost_spent_total{", at + 1))
    ++series;
  EXPECT_LE(series, 501U);
}

TEST(CostModel, ALongModelNameIsNotMatched) {
  metrics::Registry registry;
  CostModel costs(registry);
  costs.set({{"*", 1, 1}}, "USD");
  costs.count(std::string(1'000'000, 'a'), {}, {1'000'000, 0});
  EXPECT_EQ(costs.json()["spent"].get<double>(), 0);
}

}  // namespace
}  // namespace enhanced_gptcache::app
