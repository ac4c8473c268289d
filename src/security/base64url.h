#pragma once
// base64url without padding (RFC 4648, section 5; RFC 7515, appendix C), strict: one spelling per byte
// string.

#include <optional>
#include <string>
#include <string_view>

namespace enhanced_gptcache::security {

/// None: a character outside the alphabet, padding, an impossible length, or bits set that stand for nothing.
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace enhanced_gptcache::security
