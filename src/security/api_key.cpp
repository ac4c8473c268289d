#include "security/api_key.h"

#include <fmt/format.h>

#include "base/keyed_hash.h"
#include "base/request_fields.h"

namespace enhanced_gptcache::security {
namespace {

bool is_hex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == text.npos; }

}  // namespace

std::optional<ApiKeyParts> parse_api_key(std::string_view text) {
  constexpr size_t kHead = base::kOwnKeyPrefix.size();
  if (text.size() != kHead + kKeyPrefixDigits + 1 + kKeySecretDigits ||
      !text.starts_with(base::kOwnKeyPrefix))
    return std::nullopt;
  const ApiKeyParts parts{text.substr(kHead, kKeyPrefixDigits), text.substr(kHead + kKeyPrefixDigits + 1)};
  if (!is_hex(parts.prefix) || text[kHead + kKeyPrefixDigits] != '_' || !is_hex(parts.secret))
    return std::nullopt;
  return parts;
}

Result<void> check_admin_key_form(std::string_view key) {
  if (parse_api_key(key)) return {};
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the admin key must have the form egptc_<{} hexadecimal digits>_<{} hexadecimal "
                          "digits>, lower case (egptc_$(openssl rand -hex 6)_$(openssl rand -hex 32))",
                          kKeyPrefixDigits, kKeySecretDigits));
}

std::string make_api_key(std::string_view prefix) {
  const std::string name = prefix.empty() ? base::random_hex(kKeyPrefixDigits / 2) : std::string(prefix);
  return std::string(base::kOwnKeyPrefix) + name + "_" + base::random_hex(kKeySecretDigits / 2);
}

}  // namespace enhanced_gptcache::security
