#include <simdjson.h>

#include "base/canonical_json.h"

namespace enhanced_gptcache::base {
namespace {

/// Length of the valid UTF-8 sequence at `p`, or 0; `bad` is then how many bytes form the maximal
/// invalid prefix (Unicode 15, section 3.9, "substitution of maximal subparts").
size_t sequence_length(const unsigned char* p, const unsigned char* end, size_t& bad) {
  bad = 1;
  const unsigned char lead = *p;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (p + i >= end || p[i] < low || p[i] > high) return 0;
    bad = i + 1;
  }
  return length;
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string repair_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    size_t bad = 1;
    const size_t length = sequence_length(p, end, bad);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      p += bad;
      continue;
    }
    out.append(reinterpret_cast<const char*>(p), length);
    p += length;
  }
  return out;
}

}  // namespace enhanced_gptcache::base
