#pragma once
// The bytes of one value inside a JSON document, so that what a caller stored comes back unchanged
// (numbers of any length, key order, spelling of escapes).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::native {

/// The raw text of document[field]; nullopt when there is no such value. `document` is a valid JSON object.
std::optional<std::string> raw_field(std::string_view document, std::string_view field);
/// The raw text of every item of document[field], an array; empty when it is none.
std::vector<std::string> raw_items(std::string_view document, std::string_view field);

}  // namespace enhanced_gptcache::native
