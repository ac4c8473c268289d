#include "native/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/canonical_json.h"
#include "base/nearest_name.h"

namespace enhanced_gptcache::native {
namespace {

using nlohmann::json;

constexpr size_t kDepthMax = 64;
constexpr size_t kTurnsMax = 4096;

/// Stops the parser at a depth that no honest body has, before recursion could hurt.
bool too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::string type_of(const json& value) {
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  return std::string(value.is_array()    ? "an array"
                     : value.is_object() ? "an object"
                                         : "a ") +
         (value.is_structured() ? "" : value.type_name());
}

}  // namespace

Body::Body(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

Result<json> Body::parse(std::string_view text) {
  if (text.empty())
    return fail(ErrorCode::kInvalidArgument, "the request body is empty; a JSON object is needed");
  if (too_deep(text)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the JSON body is nested deeper than {} levels", kDepthMax));
  }
  try {
    json object = json::parse(text);
    if (!object.is_object()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the request body must be a JSON object, it is {}", type_of(object)));
    }
    return object;
  } catch (const json::exception& error) {
    // The library's text starts with its own error number in brackets, which helps nobody.
    const std::string_view what = error.what();
    const size_t after = what.find("] ");
    return fail(ErrorCode::kInvalidArgument,
                "malformed JSON: " + base::repair_utf8(after == what.npos ? what : what.substr(after + 2)));
  }
}

void Body::reject(std::string_view field, std::string_view message) {
  if (!error_.empty()) return;
  error_field_ = where_ + std::string(field);
  error_ = fmt::format("{}: {}", error_field_, message);
}

const json* Body::find(std::string_view field) {
  known_.emplace_back(field);
  if (!error_.empty()) return nullptr;
  const auto found = object_.find(std::string(field));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Body::text(std::string_view field, size_t bytes_max) {
  const json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    reject(field, fmt::format("must be a string, it is {}", type_of(*value)));
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > bytes_max) {
    reject(field, fmt::format("is {} bytes long, at most {} are allowed", text.size(), bytes_max));
    return std::nullopt;
  }
  return text;
}

std::string Body::required_text(std::string_view field, size_t bytes_max) {
  auto value = text(field, bytes_max);
  if (!value) reject(field, "is required (a string)");
  return value.value_or("");
}

std::optional<double> Body::number(std::string_view field, double min, double max) {
  const json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    reject(field, fmt::format("must be a number from {} to {}, it is {}", min, max, type_of(*value)));
    return std::nullopt;
  }
  const double number = value->get<double>();
  if (!(number >= min && number <= max)) {
    reject(field, fmt::format("is {}, the allowed range is {} to {}", number, min, max));
    return std::nullopt;
  }
  return number;
}

std::optional<int64_t> Body::integer(std::string_view field, int64_t min, int64_t max) {
  const json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) {
    reject(field, fmt::format("must be a whole number from {} to {}, it is {}", min, max, type_of(*value)));
    return std::nullopt;
  }
  const bool huge = value->is_number_unsigned() &&
                    value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const int64_t number = huge ? std::numeric_limits<int64_t>::max() : value->get<int64_t>();
  if (huge || number < min || number > max) {
    reject(field, fmt::format("is {}, the allowed range is {} to {}", value->dump(), min, max));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> Body::boolean(std::string_view field) {
  const json* value = find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) {
    reject(field, fmt::format("must be true or false, it is {}", type_of(*value)));
    return std::nullopt;
  }
  return value->get<bool>();
}

std::vector<std::string> Body::texts(std::string_view field, size_t count_max, size_t bytes_max) {
  std::vector<std::string> out;
  const json* value = find(field);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    reject(field, fmt::format("must be a list of strings, it is {}", type_of(*value)));
    return out;
  }
  if (value->size() > count_max) {
    reject(field, fmt::format("has {} items, at most {} are allowed", value->size(), count_max));
    return out;
  }
  for (const json& item : *value) {
    if (!item.is_string() || item.get_ref<const std::string&>().size() > bytes_max ||
        item.get_ref<const std::string&>().empty()) {
      reject(field, fmt::format("every item must be a string of 1 to {} bytes", bytes_max));
      return {};
    }
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<Turn> Body::turns(std::string_view field) {
  std::vector<Turn> out;
  const json* value = find(field);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    reject(field, fmt::format("must be a list of {{role, content}}, it is {}", type_of(*value)));
    return out;
  }
  if (value->size() > kTurnsMax) {
    reject(field, fmt::format("has {} turns, at most {} are allowed", value->size(), kTurnsMax));
    return out;
  }
  for (size_t i = 0; i < value->size(); ++i) {
    const json& turn = (*value)[i];
    const bool shaped = turn.is_object() && turn.size() == 2 && turn.contains("role") &&
                        turn["role"].is_string() && turn.contains("content") && turn["content"].is_string();
    if (!shaped) {
      reject(fmt::format("{}[{}]", field, i), "must be an object with exactly the strings role and content");
      return {};
    }
    out.push_back({turn["role"].get<std::string>(), turn["content"].get<std::string>()});
    const std::string& role = out.back().role;
    if (role != "user" && role != "assistant" && role != "system" && role != "developer" && role != "tool") {
      reject(fmt::format("{}[{}].role", field, i),
             fmt::format("is {}, allowed are user, assistant, system, developer, tool",
                         base::json_string(role)));
      return {};
    }
  }
  return out;
}

const json* Body::any(std::string_view field) { return find(field); }

Result<void> Body::finish() {
  if (error_.empty()) {
    for (const auto& [name, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      reject(name, "unknown field" + base::did_you_mean(base::nearest_name(name, known_)));
      break;
    }
  }
  if (!error_.empty()) return fail(ErrorCode::kInvalidArgument, error_);
  return {};
}

}  // namespace enhanced_gptcache::native
