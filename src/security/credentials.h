#pragma once
// Who asks? With security off the tenant is a keyed hash over everything in a request that can
// carry a credential, so two provider keys never share an entry, whichever header carries them. Every
// header that base/request_fields.h does not know counts as one.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::security {

inline constexpr std::string_view kAnonymousTenant = "anonymous";
/// What one request carries. Thread rule: confined to its maker; views live as long as the request.
class Carriers {
 public:
  /// Takes the header unless it is known to be none. Empty values count as absent.
  void add_header(std::string_view name, std::string_view value);
  /// Takes the carriers out of a query string ("a=1&key=...").
  void add_query(std::string_view query);

  bool empty() const { return found_.empty(); }
  /// A key of ours (egptc_...) is in one of them, or in any other header or parameter that would be
  /// forwarded: it must never be sent to a provider.
  bool has_own_key() const { return own_key_; }
  /// A secret is among them (not only an organisation or project name).
  bool has_secret() const { return secret_; }
  /// `anonymous` without any carrier, else 32 hexadecimal digits.
  std::string tenant(const base::SecretKey& instance_key) const;

 private:
  struct Found {
    std::string carrier;  ///< lower case, decoded
    std::string_view value;
  };
  std::vector<Found> found_;
  bool own_key_ = false;
  bool secret_ = false;
};

/// A header that holds one of our keys, or a token for us in Authorization.
bool is_own_carrier(std::string_view name, std::string_view value, bool own_authorization);

/// Carriers of anything with `headers` ({name, value}) and `query`, such as http::Request.
template <typename Request>
Carriers carriers_of(const Request& request) {
  Carriers carriers;
  for (const auto& header : request.headers) carriers.add_header(header.name, header.value);
  carriers.add_query(request.query);
  return carriers;
}

/// With security on: does a header or parameter carry a credential that is not ours? `own_authorization`: the
/// Authorization header is.
template <typename Request>
bool has_provider_secret(const Request& request, bool own_authorization) {
  Carriers carriers;
  for (const auto& header : request.headers)
    if (!is_own_carrier(header.name, header.value, own_authorization))
      carriers.add_header(header.name, header.value);
  if (!request.query.empty()) carriers.add_query(request.query);
  return carriers.has_secret();
}

/// `query` without its credential parameters; everything else stays as written.
std::string strip_credentials(std::string_view query);

}  // namespace enhanced_gptcache::security
