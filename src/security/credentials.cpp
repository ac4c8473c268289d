#include "security/credentials.h"

#include <algorithm>

namespace enhanced_gptcache::security {
namespace {

struct CarrierName {
  std::string_view name;  ///< lower case
  bool secret;            ///< false: chooses an account, proves nothing
};

// The first seven are what the big providers use; the others are those of the gateways people put
// between, where a different value means a different customer just as well. Cookies are none: clients
// replay those a provider's network sets, which change by the half hour; cached routes drop them.
constexpr CarrierName kHeaders[] = {
    {"authorization", true},
    {"x-api-key", true},
    {"api-key", true},
    {"x-goog-api-key", true},
    {"x-egptc-key", true},
    {"openai-organization", false},
    {"openai-project", false},
    {"proxy-authorization", true},
    {"x-goog-user-project", false},
    {"ocp-apim-subscription-key", true},
    {"x-litellm-api-key", true},
    {"x-portkey-api-key", true},
    {"x-portkey-virtual-key", true},
    {"x-bf-vk", true},
    {"cf-aig-authorization", true},
    {"helicone-auth", true},
    {"x-amz-security-token", true},
};
constexpr CarrierName kParameters[] = {
    {"key", true}, {"api_key", true}, {"api-key", true}, {"access_token", true}, {"subscription-key", true},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() && std::equal(text.begin(), text.end(), lower_case.begin(),
                                                        [](char a, char b) { return lower(a) == b; });
}

template <size_t N>
const CarrierName* find(const CarrierName (&table)[N], std::string_view name) {
  for (const CarrierName& carrier : table)
    if (equal_ignoring_case(name, carrier.name)) return &carrier;
  return nullptr;
}

/// Calls `each(name, value, whole)` for the parameters of a query string.
template <typename Each>
void for_each_parameter(std::string_view query, Each each) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view whole = query.substr(0, end);
    const size_t equals = whole.find('=');
    each(whole.substr(0, equals),
         equals == std::string_view::npos ? std::string_view() : whole.substr(equals + 1), whole);
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
}

/// The key itself, whatever scheme ("Bearer ", "Basic ") and blanks stand before it.
bool is_own_key(std::string_view value) {
  const size_t at = value.find(kOwnKeyPrefix);
  return at == 0 || (at != std::string_view::npos && (value[at - 1] == ' ' || value[at - 1] == '\t'));
}

}  // namespace

bool is_credential_header(std::string_view name) { return find(kHeaders, name) != nullptr; }
bool is_credential_parameter(std::string_view name) { return find(kParameters, name) != nullptr; }

void Carriers::add_header(std::string_view name, std::string_view value) {
  const CarrierName* carrier = find(kHeaders, name);
  if (carrier == nullptr || value.empty()) return;
  found_.push_back({carrier->name, value});
  secret_ = secret_ || carrier->secret;
  own_key_ = own_key_ || is_own_key(value) || carrier->name == "x-egptc-key";
}

void Carriers::add_query(std::string_view query) {
  for_each_parameter(query, [this](std::string_view name, std::string_view value, std::string_view) {
    const CarrierName* carrier = find(kParameters, name);
    if (carrier == nullptr || value.empty()) return;
    found_.push_back({carrier->name, value});
    secret_ = true;
    own_key_ = own_key_ || is_own_key(value);
  });
}

std::string Carriers::tenant(const base::SecretKey& instance_key) const {
  if (found_.empty()) return std::string(kAnonymousTenant);
  // The order in which headers arrive is no part of who sends them. Length prefixes keep names and
  // values apart; the parts are joined so that one hash call sees them all.
  std::vector<Found> sorted = found_;
  std::sort(sorted.begin(), sorted.end(), [](const Found& a, const Found& b) {
    return a.carrier != b.carrier ? a.carrier < b.carrier : a.value < b.value;
  });
  std::string joined;
  for (const Found& found : sorted) {
    joined.append(found.carrier).push_back('\0');
    joined.append(std::to_string(found.value.size())).push_back('\0');
    joined.append(found.value);
  }
  return base::keyed_hash(instance_key, "tenant", {joined}).hex();
}

std::string strip_credentials(std::string_view query) {
  std::string out;
  for_each_parameter(query, [&out](std::string_view name, std::string_view, std::string_view whole) {
    if (is_credential_parameter(name)) return;
    if (!out.empty()) out.push_back('&');
    out.append(whole);
  });
  return out;
}

}  // namespace enhanced_gptcache::security
