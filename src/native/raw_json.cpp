#include "native/raw_json.h"

#include <simdjson.h>

namespace enhanced_gptcache::native {
namespace {

std::optional<std::string> trimmed(std::string_view raw) {
  const size_t end = raw.find_last_not_of(" \t\r\n");
  if (end == raw.npos) return std::nullopt;
  return std::string(raw.substr(0, end + 1));
}

}  // namespace

std::optional<std::string> raw_field(std::string_view document, std::string_view field) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(document);
  simdjson::ondemand::document parsed;
  simdjson::ondemand::value value;
  std::string_view raw;
  if (parser.iterate(padded).get(parsed) != simdjson::SUCCESS) return std::nullopt;
  if (parsed.find_field_unordered(field).get(value) != simdjson::SUCCESS) return std::nullopt;
  if (simdjson::to_json_string(value).get(raw) != simdjson::SUCCESS) return std::nullopt;
  return trimmed(raw);
}

std::vector<std::string> raw_items(std::string_view document, std::string_view field) {
  std::vector<std::string> items;
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(document);
  simdjson::ondemand::document parsed;
  simdjson::ondemand::array array;
  if (parser.iterate(padded).get(parsed) != simdjson::SUCCESS) return items;
  if (parsed.find_field_unordered(field).get(array) != simdjson::SUCCESS) return items;
  for (auto item : array) {
    std::string_view raw;
    if (simdjson::to_json_string(item).get(raw) != simdjson::SUCCESS) return {};
    items.push_back(trimmed(raw).value_or(""));
  }
  return items;
}

}  // namespace enhanced_gptcache::native
