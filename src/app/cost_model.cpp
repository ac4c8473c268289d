#include "app/cost_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "http/url.h"

namespace enhanced_gptcache::app {
namespace {

constexpr double kBillion = 1e9;
constexpr double kTokensPerPrice = 1e6;
constexpr const char* kUnpriced = "unpriced";
/// Of money, over all tables there ever were: further rows count together as "other".
constexpr size_t kMoneySeriesMax = 500;
/// A provider's count beyond reason must neither be undefined behaviour nor make a counter wrap around: one
/// request counts for a million units at most, and a counter stops at nine thousand million.
constexpr double kRequestMost = 1e15;
constexpr uint64_t kCounterMost = 9'000'000'000'000'000'000;
/// A caller's longer one has no row, so that matching it costs nothing.
constexpr size_t kModelBytesMax = 256;

double units(const metrics::Counter& money) { return static_cast<double>(money.value()) / kBillion; }

}  // namespace

/// Counters of money by what it was (saved, spent), model and currency. They stay when the table changes,
/// because a counter must not go back.
struct CostModel::Money {
  using Key = std::array<std::string, 2>;  // model, currency
  mutable std::mutex mutex;
  std::map<Key, std::unique_ptr<metrics::Counter>> saved, spent;

  metrics::Counter& of(std::map<Key, std::unique_ptr<metrics::Counter>>& from, const std::string& model,
                       const std::string& currency) {
    const std::lock_guard lock(mutex);
    const bool is_full = from.size() >= kMoneySeriesMax && !from.contains({model, currency});
    auto& counter = from[is_full ? Key{"other", "other"} : Key{model, currency}];
    if (counter == nullptr) counter = std::make_unique<metrics::Counter>();
    return *counter;
  }
  std::vector<metrics::Sample> samples(const std::map<Key, std::unique_ptr<metrics::Counter>>& from) const {
    const std::lock_guard lock(mutex);
    std::vector<metrics::Sample> out;
    for (const auto& [key, counter] : from) out.push_back({{key[0], key[1]}, units(*counter)});
    return out;
  }
};

CostModel::CostModel(metrics::Registry& registry)
    : tokens_(registry.counters({"model_tokens_total",
                                 "Tokens by row of the price table: saved by hits, spent by misses.",
                                 {"model", "use", "kind"},
                                 1000})),
      money_(std::make_shared<Money>()),
      table_(std::make_shared<const Table>()) {
  const std::vector<std::string> labels = {"model", "currency"};
  registry.collector({"cost_saved_total", "What the tokens of hits would have cost, by monitoring.prices.",
                      labels, kMoneySeriesMax + 1},
                     metrics::Kind::kCounter, [money = money_] { return money->samples(money->saved); });
  registry.collector({"cost_spent_total", "What the tokens of misses have cost, by monitoring.prices.",
                      labels, kMoneySeriesMax + 1},
                     metrics::Kind::kCounter, [money = money_] { return money->samples(money->spent); });
  set({}, "");
}

CostModel::Row CostModel::make_row(config::Price price, const std::string& currency) {
  Row row;
  const std::string name = price.model.empty() ? kUnpriced : price.model;
  row.saved = {&tokens_.with({name, "saved", "prompt"}), &tokens_.with({name, "saved", "completion"})};
  row.spent = {&tokens_.with({name, "spent", "prompt"}), &tokens_.with({name, "spent", "completion"})};
  if (!price.model.empty()) {
    row.saved.money = &money_->of(money_->saved, name, currency);
    row.spent.money = &money_->of(money_->spent, name, currency);
  }
  row.price = std::move(price);
  return row;
}

void CostModel::set(std::vector<config::Price> prices, const std::string& currency) {
  Table table;
  table.currency = currency;
  table.unpriced = make_row({}, currency);
  for (config::Price& price : prices) table.rows.push_back(make_row(std::move(price), currency));
  table_.set(std::move(table));
}

void CostModel::add(const Row& row, const Use& use, const proxy::TokenCount& tokens) {
  if (tokens.total() == 0) return;
  use.prompt->add(tokens.prompt);
  use.completion->add(tokens.completion);
  if (use.money == nullptr) return;
  const double cost = static_cast<double>(tokens.prompt) * row.price.input +
                      static_cast<double>(tokens.completion) * row.price.output;
  if (use.money->value() >= kCounterMost) return;
  const double billionths = std::min(cost / kTokensPerPrice * kBillion, kRequestMost);
  use.money->add(static_cast<uint64_t>(std::llround(billionths)));
}

void CostModel::count(std::string_view model, const proxy::TokenCount& saved,
                      const proxy::TokenCount& spent) {
  if (saved.total() == 0 && spent.total() == 0) return;
  const base::EpochGuard pin;
  const Table& table = table_.peek(pin);
  const Row* found = &table.unpriced;
  for (const Row& row : table.rows) {
    if (model.size() > kModelBytesMax) break;
    if (!http::matches_wildcard(row.price.model, model)) continue;
    found = &row;
    break;
  }
  add(*found, found->saved, saved);
  add(*found, found->spent, spent);
}

nlohmann::ordered_json CostModel::json() const {
  const auto table = table_.get();
  if (table->rows.empty()) return nullptr;
  double saved = 0;
  double spent = 0;
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const Row& row : table->rows) {
    const double of_saved = units(*row.saved.money);
    const double of_spent = units(*row.spent.money);
    saved += of_saved;
    spent += of_spent;
    models.push_back({{"model", row.price.model}, {"saved", of_saved}, {"spent", of_spent}});
  }
  return {{"currency", table->currency}, {"saved", saved}, {"spent", spent}, {"models", std::move(models)}};
}

}  // namespace enhanced_gptcache::app
