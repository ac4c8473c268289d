#pragma once
// One spelling for equal JSON, so that key order, white space and escapes do not matter and every
// other difference does: object keys sorted bytewise, no white space, strings with the shortest
// escapes, numbers verbatim as they were written. Used for exact keys and partitions.

#include <span>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::base {

/// `text` as a JSON string with quotes: only ", \ and control characters are escaped. `text` is valid UTF-8.
std::string json_string(std::string_view text);
void append_json_string(std::string& out, std::string_view text);

/// Canonical form of any JSON document. kInvalidArgument: malformed, duplicate keys in one object,
/// invalid UTF-8, or deeper than 64 levels; the message says where.
Result<std::string> canonical_json(std::string_view json);

/// Replaces each maximal invalid UTF-8 sequence by U+FFFD.
std::string repair_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);

}  // namespace enhanced_gptcache::base
