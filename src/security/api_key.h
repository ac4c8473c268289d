#pragma once
// The form of our own keys: egptc_<12 hexadecimal digits>_<64 hexadecimal digits>. The first part names the
// key and may be shown; the second is 256 random bits.

#include <optional>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {

inline constexpr size_t kKeyPrefixDigits = 12;
inline constexpr size_t kKeySecretDigits = 64;

struct ApiKeyParts {
  std::string_view prefix;
  std::string_view secret;
};

/// None: `text` is no key of ours, to the letter. The views are into `text`.
std::optional<ApiKeyParts> parse_api_key(std::string_view text);
/// kInvalidArgument says what a key that somebody else has made for an admin must look like.
Result<void> check_admin_key_form(std::string_view key);
/// From the operating system's generator. An empty prefix: a random one.
std::string make_api_key(std::string_view prefix = {});

}  // namespace enhanced_gptcache::security
