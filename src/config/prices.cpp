#include "config/prices.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace enhanced_gptcache::config {
namespace {

std::optional<double> price_of(std::string_view text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Written so that NaN is refused, too.
  if (error != std::errc() || stop != text.data() + text.size() || !(value >= 0 && value <= kPriceHighest))
    return std::nullopt;
  return value;
}

}  // namespace

Result<Price> parse_price(std::string_view row) {
  const size_t equals = row.rfind('=');
  const size_t slash = equals == row.npos ? row.npos : row.find('/', equals);
  if (equals != row.npos && equals > 0 && equals <= kPriceModelBytesMax && slash != row.npos) {
    const auto input = price_of(row.substr(equals + 1, slash - equals - 1));
    const auto output = price_of(row.substr(slash + 1));
    if (input && output) return Price{std::string(row.substr(0, equals)), *input, *output};
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("must be model=input/output, a pattern of 1 to {} bytes and two prices of a "
                          "million tokens, 0 to {:.0f}",
                          kPriceModelBytesMax, kPriceHighest));
}

}  // namespace enhanced_gptcache::config
