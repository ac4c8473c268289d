#pragma once
// Typed access to the keys of a model folder's JSON files: every failure names file, key, what was
// found and what is allowed.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// A JSON object and where it came from. Borrows both. Thread rule: immutable.
class JsonFields final {
 public:
  /// `where` starts every message: a path, or a path and the key the object sits under.
  JsonFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  /// An integer in [min, max]; absent or null: `fallback`, or kCorrupt when there is none.
  Result<int64_t> integer(const char* key, int64_t min, int64_t max,
                          std::optional<int64_t> fallback = {}) const;
  /// A finite number in [min, max].
  Result<double> number(const char* key, double min, double max, double fallback) const;
  /// true or false; absent or null: nothing.
  Result<std::optional<bool>> flag(const char* key) const;
  /// A string; absent or null: `fallback`, or kCorrupt when there is none.
  Result<std::string> text(const char* key, std::optional<std::string> fallback = {}) const;
  /// A nested object.
  Result<JsonFields> object(const char* key) const;

  /// The value, or null when the key is absent or null.
  const nlohmann::json* find(const char* key) const;
  const nlohmann::json& json() const { return object_; }
  const std::string& where() const { return where_; }
  /// "<where>: <what>" with a code.
  [[nodiscard]] tl::unexpected<Error> failure(ErrorCode code, std::string_view what) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

/// What a value is, for messages: its JSON text, shortened to 60 characters.
std::string shown(const nlohmann::json& value);

}  // namespace enhanced_gptcache::embed
