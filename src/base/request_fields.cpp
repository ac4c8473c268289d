#include "base/request_fields.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace enhanced_gptcache::base {
namespace {

using enum HeaderClass;

struct HeaderRow {
  std::string_view name;  ///< lower case
  HeaderClass what;
};

// Sorted by name. The first credentials are those of the big providers, the others those of the gateways
// people put between, where a different value means a different customer just as well.
constexpr HeaderRow kHeaders[] = {
    {"accept", kNeutral},
    {"accept-charset", kNeutral},
    {"accept-encoding", kNeutral},
    {"accept-language", kMeaning},
    {"anthropic-beta", kMeaning},
    {"anthropic-dangerous-direct-browser-access", kNeutral},
    {"anthropic-organization", kAccount},
    {"anthropic-version", kMeaning},
    {"api-key", kSecret},
    {"authorization", kSecret},
    {"b3", kNeutral},
    {"baggage", kPrivate},
    {"cache-control", kNeutral},
    {"cdn-loop", kPrivate},
    {"cf-aig-authorization", kSecret},
    {"cf-aig-cache-key", kLocal},
    {"cf-aig-cache-ttl", kLocal},
    {"cf-aig-skip-cache", kLocal},
    {"cf-connecting-ip", kPrivate},
    {"cf-ipcountry", kPrivate},
    {"cf-ray", kPrivate},
    {"cf-visitor", kPrivate},
    {"connection", kLocal},
    {"content-encoding", kNeutral},
    {"content-length", kLocal},
    {"content-type", kNeutral},
    {"cookie", kPrivate},
    {"cookie2", kPrivate},
    {"date", kNeutral},
    {"dnt", kNeutral},
    {"expect", kLocal},
    {"forwarded", kPrivate},
    {"grpc-timeout", kNeutral},
    {"helicone-auth", kSecret},
    {"helicone-cache-enabled", kLocal},
    {"helicone-cache-seed", kLocal},
    {"host", kLocal},
    {"http-referer", kNeutral},
    {"http2-settings", kLocal},
    {"idempotency-key", kNeutral},
    {"keep-alive", kLocal},
    {"ocp-apim-subscription-key", kSecret},
    {"openai-beta", kMeaning},
    {"openai-organization", kAccount},
    {"openai-project", kAccount},
    {"origin", kPrivate},
    {"pragma", kNeutral},
    {"priority", kNeutral},
    {"proxy-authenticate", kLocal},
    {"proxy-authorization", kAccount},
    {"proxy-connection", kLocal},
    {"referer", kPrivate},
    {"sec-websocket-protocol", kUnlisted},  // browsers have no other place for a key
    {"sentry-trace", kNeutral},
    {"te", kLocal},
    {"traceparent", kNeutral},
    {"tracestate", kNeutral},
    {"trailer", kLocal},
    {"transfer-encoding", kLocal},
    {"true-client-ip", kPrivate},
    {"uber-trace-id", kNeutral},
    {"upgrade", kLocal},
    {"upgrade-insecure-requests", kNeutral},
    {"user-agent", kNeutral},
    {"via", kPrivate},
    {"x-amz-security-token", kSecret},
    {"x-amzn-trace-id", kNeutral},
    {"x-api-key", kSecret},
    {"x-b3-flags", kNeutral},
    {"x-b3-parentspanid", kNeutral},
    {"x-b3-sampled", kNeutral},
    {"x-b3-spanid", kNeutral},
    {"x-b3-traceid", kNeutral},
    {"x-bf-cache-key", kLocal},
    {"x-bf-cache-no-store", kLocal},
    {"x-bf-cache-threshold", kLocal},
    {"x-bf-cache-ttl", kLocal},
    {"x-bf-cache-type", kLocal},
    {"x-bf-vk", kSecret},
    {"x-client-request-id", kNeutral},
    {"x-cloud-trace-context", kNeutral},
    {"x-correlation-id", kNeutral},
    {"x-datadog-origin", kNeutral},
    {"x-datadog-parent-id", kNeutral},
    {"x-datadog-sampling-priority", kNeutral},
    {"x-datadog-tags", kNeutral},
    {"x-datadog-trace-id", kNeutral},
    {"x-egptc-key", kSecret},
    {"x-forwarded-for", kPrivate},
    {"x-forwarded-host", kPrivate},
    {"x-forwarded-port", kPrivate},
    {"x-forwarded-prefix", kPrivate},
    {"x-forwarded-proto", kPrivate},
    {"x-forwarded-scheme", kPrivate},
    {"x-forwarded-server", kPrivate},
    {"x-goog-api-client", kNeutral},
    {"x-goog-api-key", kSecret},
    {"x-goog-user-project", kAccount},
    {"x-litellm-api-key", kSecret},
    {"x-ms-client-request-id", kNeutral},
    {"x-ms-useragent", kNeutral},
    {"x-portkey-api-key", kSecret},
    {"x-portkey-cache-force-refresh", kLocal},
    {"x-portkey-cache-namespace", kLocal},
    {"x-portkey-virtual-key", kSecret},
    {"x-real-ip", kPrivate},
    {"x-request-id", kNeutral},
    {"x-request-start", kPrivate},
    {"x-requested-with", kNeutral},
    {"x-scheme", kPrivate},
    {"x-title", kNeutral},
};
static_assert(std::is_sorted(std::begin(kHeaders), std::end(kHeaders),
                             [](const HeaderRow& a, const HeaderRow& b) { return a.name < b.name; }));

constexpr HeaderRow kPrefixes[] = {{"sec-", kNeutral}, {"x-cache-", kLocal}, {"x-stainless-", kNeutral}};

constexpr std::string_view kParameters[] = {
    "access_key",
    "access_token",
    "api-key",
    "api_key",
    "api_token",
    "apikey",
    "auth",
    "auth_token",
    "key",
    "private_token",
    "sig",
    "signature",
    "subscription-key",
    "subscription_key",
    "token",
};

constexpr size_t kNameBytesMax = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

bool is_word(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }

bool has_prefix_of_ours(std::string_view text) {
  for (size_t at = 0; at + kOwnKeyPrefix.size() <= text.size(); ++at) {
    if (lower(text[at]) != 'e' || (at > 0 && is_word(text[at - 1]))) continue;
    const std::string_view here = text.substr(at, kOwnKeyPrefix.size());
    if (std::equal(here.begin(), here.end(), kOwnKeyPrefix.begin(),
                   [](char a, char b) { return lower(a) == b; }))
      return true;
  }
  return false;
}

/// The parameters for which `drop(name, value)` is false.
template <typename Drop>
std::string filtered(std::string_view query, Drop drop) {
  std::string out;
  bool first = true;
  for (size_t start = 0; start < query.size();) {
    const size_t end = std::min(query.find('&', start), query.size());
    const std::string_view whole = query.substr(start, end - start);
    start = end + 1;
    const size_t equals = std::min(whole.find('='), whole.size());
    if (drop(whole.substr(0, equals), whole.substr(std::min(whole.size(), equals + 1)))) continue;
    if (!first) out.push_back('&');
    first = false;
    out.append(whole);
  }
  return out;
}

}  // namespace

HeaderClass header_class(std::string_view name) {
  if (name.size() > kNameBytesMax) return kUnlisted;
  std::array<char, kNameBytesMax> buffer;
  std::transform(name.begin(), name.end(), buffer.begin(), lower);
  const std::string_view wanted(buffer.data(), name.size());
  const auto* row = std::lower_bound(std::begin(kHeaders), std::end(kHeaders), wanted,
                                     [](const HeaderRow& a, std::string_view b) { return a.name < b; });
  if (row != std::end(kHeaders) && row->name == wanted) return row->what;
  for (const HeaderRow& prefix : kPrefixes)
    if (wanted.starts_with(prefix.name)) return prefix.what;
  return kUnlisted;
}

bool separates_tenants(HeaderClass header) {
  return header == kSecret || header == kAccount || header == kUnlisted;
}

bool may_go_to_any_provider(HeaderClass header) { return header == kNeutral || header == kMeaning; }

bool is_credential_parameter(std::string_view name) {
  std::string plain = percent_decoded(name);
  std::transform(plain.begin(), plain.end(), plain.begin(), lower);
  return std::find(std::begin(kParameters), std::end(kParameters), plain) != std::end(kParameters);
}

std::string without_credentials(std::string_view query) {
  return filtered(query, [](std::string_view name, std::string_view value) {
    return is_credential_parameter(name) || holds_own_key(value) || holds_own_key(name);
  });
}

std::string without_own_keys(std::string_view query) {
  return filtered(query, [](std::string_view name, std::string_view value) {
    return holds_own_key(value) || holds_own_key(name);
  });
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    if (!escape) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
    i += 2;
  }
  return out;
}

bool holds_own_key(std::string_view value) {
  if (has_prefix_of_ours(value)) return true;
  if (value.find('%') == std::string_view::npos) return false;
  std::string plain(value);
  for (int i = 0; i < 3; ++i) {
    plain = percent_decoded(plain);
    if (has_prefix_of_ours(plain)) return true;
  }
  return false;
}

}  // namespace enhanced_gptcache::base
