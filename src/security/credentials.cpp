#include "security/credentials.h"

#include <algorithm>

#include "base/request_fields.h"

namespace enhanced_gptcache::security {
namespace {

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

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

}  // namespace

void Carriers::add_header(std::string_view name, std::string_view value) {
  const base::HeaderClass what = base::header_class(name);
  if (value.empty() || what == base::HeaderClass::kLocal) return;
  own_key_ = own_key_ || base::holds_own_key(value);
  if (!base::separates_tenants(what)) return;
  found_.push_back({lower_case(name), value});
  secret_ = secret_ || what == base::HeaderClass::kSecret;
  own_key_ = own_key_ || found_.back().carrier == "x-egptc-key";
}

void Carriers::add_query(std::string_view query) {
  for_each_parameter(query, [this](std::string_view name, std::string_view value, std::string_view) {
    if (value.empty()) return;
    own_key_ = own_key_ || base::holds_own_key(value) || base::holds_own_key(name);
    if (!base::is_credential_parameter(name)) return;
    found_.push_back({lower_case(base::percent_decoded(name)), value});
    secret_ = true;
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

bool is_own_carrier(std::string_view name, std::string_view value, bool own_authorization) {
  if (base::header_class(name) != base::HeaderClass::kSecret) return false;
  if (base::holds_own_key(value)) return true;
  return own_authorization && lower_case(name) == "authorization";
}

std::string strip_credentials(std::string_view query) { return base::without_credentials(query); }

}  // namespace enhanced_gptcache::security
