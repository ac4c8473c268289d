#include "embed/model_files_json.h"

#include <fmt/format.h>

#include <cmath>

namespace enhanced_gptcache::embed {

std::string shown(const nlohmann::json& value) {
  constexpr size_t kCharsMax = 60;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  // Replaces invalid UTF-8 instead of throwing.
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kCharsMax) text = text.substr(0, kCharsMax) + "...";
  return text;
}

const nlohmann::json* JsonFields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

tl::unexpected<Error> JsonFields::failure(ErrorCode code, std::string_view what) const {
  return fail(code, fmt::format("{}: {}", where_, what));
}

Result<int64_t> JsonFields::integer(const char* key, int64_t min, int64_t max,
                                    std::optional<int64_t> fallback) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr) return failure(ErrorCode::kCorrupt, fmt::format("{} is missing", key));
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  const int64_t number = fits ? value->get<int64_t>() : 0;
  if (!fits || number < min || number > max) {
    return failure(ErrorCode::kCorrupt,
                   fmt::format("{} is {}, allowed are whole numbers {} to {}", key, shown(*value), min, max));
  }
  return number;
}

Result<double> JsonFields::number(const char* key, double min, double max, double fallback) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) return fallback;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= min && number <= max)) {
    return failure(ErrorCode::kCorrupt,
                   fmt::format("{} is {}, allowed are numbers {} to {}", key, shown(*value), min, max));
  }
  return number;
}

Result<std::optional<bool>> JsonFields::flag(const char* key) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) return std::optional<bool>{};
  if (!value->is_boolean()) {
    return failure(ErrorCode::kCorrupt,
                   fmt::format("{} is {}, allowed are true and false", key, shown(*value)));
  }
  return std::optional<bool>{value->get<bool>()};
}

Result<std::string> JsonFields::text(const char* key, std::optional<std::string> fallback) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr && fallback) return *std::move(fallback);
  if (value == nullptr) return failure(ErrorCode::kCorrupt, fmt::format("{} is missing", key));
  if (!value->is_string()) {
    return failure(ErrorCode::kCorrupt, fmt::format("{} is {}, not a string", key, shown(*value)));
  }
  return value->get<std::string>();
}

Result<JsonFields> JsonFields::object(const char* key) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) return failure(ErrorCode::kCorrupt, fmt::format("{} is missing", key));
  if (!value->is_object()) {
    return failure(ErrorCode::kCorrupt, fmt::format("{} is {}, not an object", key, shown(*value)));
  }
  return JsonFields(*value, fmt::format("{}: {}", where_, key));
}

}  // namespace enhanced_gptcache::embed
