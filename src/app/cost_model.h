#pragma once
// What hits have saved and misses have spent, in tokens and, where the operator has given prices
// (monitoring.prices), in money. There are no prices but the operator's: without them nothing is guessed.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/cell.h"
#include "config/prices.h"
#include "metrics/registry.h"
#include "proxy/token_count.h"

namespace enhanced_gptcache::app {

/// Series are by row of the price table, never by the model a caller names, so there are few of them; models
/// without a row are one series of tokens, "unpriced", and none of money. Money counts at the price of its
/// time: a new table changes what comes, not what was. Thread rule: any thread; set() from one.
class CostModel {
 public:
  /// `registry` outlives it.
  explicit CostModel(metrics::Registry& registry);

  void set(std::vector<config::Price> prices, const std::string& currency);
  void count(std::string_view model, const proxy::TokenCount& saved, const proxy::TokenCount& spent);

  /// {"currency", "saved", "spent", "models": [{"model", "saved", "spent"}]} of the present table since the
  /// start; null while the table is empty.
  nlohmann::ordered_json json() const;

 private:
  struct Use {
    metrics::Counter* prompt = nullptr;
    metrics::Counter* completion = nullptr;
    metrics::Counter* money = nullptr;  ///< in billionths; null without a price
  };
  struct Row {
    config::Price price;
    Use saved, spent;
  };
  struct Table {
    std::string currency;
    std::vector<Row> rows;
    Row unpriced;
  };
  Row make_row(config::Price price, const std::string& currency);
  static void add(const Row& row, const Use& use, const proxy::TokenCount& tokens);

  metrics::Family<metrics::Counter>& tokens_;
  /// As the registry counts whole numbers, money is kept in billionths and shown in units.
  struct Money;
  std::shared_ptr<Money> money_;
  base::Cell<Table> table_;
};

}  // namespace enhanced_gptcache::app
