#pragma once
// Strict reading of a JSON request body: every field has one type and a range, an unknown field is
// an error that names the nearest known one, and the first error is kept as a sentence.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::native {

/// Reads one JSON object field by field. Use: construct, take every field, then finish(). After the
/// first error all further reads return defaults, so callers check once. Not thread-safe.
class Body {
 public:
  /// `object` must outlive the reader. `where` prefixes field names in errors ("entries[3].").
  explicit Body(const nlohmann::json& object, std::string where = "");

  /// kInvalidArgument: no JSON object, malformed, or too deep; the message says where.
  static Result<nlohmann::json> parse(std::string_view text);

  std::string required_text(std::string_view field, size_t bytes_max);
  std::optional<std::string> text(std::string_view field, size_t bytes_max);
  std::optional<double> number(std::string_view field, double min, double max);
  std::optional<int64_t> integer(std::string_view field, int64_t min, int64_t max);
  std::optional<bool> boolean(std::string_view field);
  std::vector<std::string> texts(std::string_view field, size_t count_max, size_t bytes_max);
  /// A list of {role, content}.
  std::vector<Turn> turns(std::string_view field);
  /// Any JSON; null when absent (which present null also is).
  const nlohmann::json* any(std::string_view field);
  bool has(std::string_view field) const { return object_.contains(std::string(field)); }

  /// Records an error of the caller's own check about `field`.
  void reject(std::string_view field, std::string_view message);
  /// The first error, or one about a field nobody asked for.
  Result<void> finish();
  /// The field the error is about, for OpenAI's `param`.
  const std::string& error_field() const { return error_field_; }

 private:
  const nlohmann::json* find(std::string_view field);

  const nlohmann::json& object_;
  std::string where_;
  std::vector<std::string> known_;
  std::string error_;
  std::string error_field_;
};

}  // namespace enhanced_gptcache::native
