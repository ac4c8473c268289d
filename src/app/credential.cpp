#include "app/credential.h"

#include "base/request_fields.h"
#include "http/head_parser.h"

namespace enhanced_gptcache::app {
namespace {

using http::equals_ignoring_case;

constexpr std::string_view kBearer = "Bearer ";

/// Three parts, the first of which begins as {" does in base64.
bool looks_like_token(std::string_view text) {
  return text.starts_with("eyJ") && text.find('.') != text.npos;
}

void take_key(Credential& out, std::string_view key) {
  if (!out.key.empty() && out.key != key) {
    out.problem = "two different keys of this server were sent; send one";
  } else {
    out.key = key;
  }
}

void take_authorization(Credential& out, std::string_view value) {
  if (value.size() <= kBearer.size() || !equals_ignoring_case(value.substr(0, kBearer.size()), kBearer))
    return;
  value.remove_prefix(kBearer.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (value.starts_with(base::kOwnKeyPrefix)) return take_key(out, value);
  if (looks_like_token(value)) out.token = value;
}

}  // namespace

Credential find_credential(const http::Request& request) {
  Credential out;
  size_t authorizations = 0;
  for (const http::HeaderView& header : request.headers) {
    switch (header.name.size()) {
      case 13:
        if (!equals_ignoring_case(header.name, "authorization")) break;
        if (++authorizations > 1) out.problem = "Authorization was sent more than once";
        take_authorization(out, header.value);
        break;
      case 11:
        // Whatever stands there is meant for us, so it is checked even when it is no key.
        if (equals_ignoring_case(header.name, "x-egptc-key")) take_key(out, header.value);
        break;
      case 9:
        if (header.value.starts_with(base::kOwnKeyPrefix) && equals_ignoring_case(header.name, "x-api-key"))
          take_key(out, header.value);
        break;
      case 7:
        if (header.value.starts_with(base::kOwnKeyPrefix) && equals_ignoring_case(header.name, "api-key"))
          take_key(out, header.value);
        break;
      default:
        break;
    }
  }
  if (!out.key.empty() && !out.token.empty())
    out.problem = "a key and a token of this server were sent; send one";
  return out;
}

}  // namespace enhanced_gptcache::app
