#pragma once
// One row of monitoring.prices: what a model's tokens cost.

#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::config {

struct Price {
  std::string model;  ///< shell wildcards * and ?; the first row that matches counts
  double input = 0;   ///< per million tokens of prompts, in monitoring.currency
  double output = 0;  ///< per million tokens of answers
};

inline constexpr size_t kPricesMax = 100;  ///< rows, as each is a series of the metrics
inline constexpr size_t kPriceModelBytesMax = 128;
inline constexpr size_t kCurrencyBytesMax = 16;
inline constexpr double kPriceHighest = 1000000;  ///< per million tokens

/// "gpt-4o*=2.5/10": model=input/output. kInvalidArgument says what is wrong.
Result<Price> parse_price(std::string_view row);

}  // namespace enhanced_gptcache::config
