#pragma once
// The one door every request goes through before its handler: where it comes from, who sends it, and whether
// that role may call this route. With security off it is access_guard.h that decides.

#include <memory>
#include <string>
#include <vector>

#include "base/cell.h"
#include "base/ip_network.h"
#include "config/settings.h"
#include "http/exchange.h"
#include "security/certificates.h"
#include "security/jwt.h"
#include "security/key_store.h"
#include "security/limiter.h"
#include "security/permissions.h"

namespace enhanced_gptcache::app {

/// What the door asks. All outlive it.
struct GateParts {
  const security::KeyStore& keys;
  const security::JwtVerifier& tokens;
  security::Limiter& limiter;
};

/// Thread rule: admit() from any thread; configure() from one at a time.
class Gatekeeper {
 public:
  Gatekeeper(GateParts parts, const config::Settings& settings);

  /// Live settings, for requests that come later. security.enabled stays what it was at start.
  void configure(const config::Settings& settings);
  /// True: refused and answered, in the caller's dialect. Else the exchange has its Pass (security on).
  bool admit(const http::ExchangePtr& exchange) const;
  /// Whether a request that was admitted once would be again, by the settings and credentials of now; no
  /// limit counts it.
  bool still_admits(const http::Request& request) const;
  /// Why a request that was admitted would be refused under these settings, naming the one that does; empty:
  /// it would be admitted. Of limits only those are looked at that leave less than a call in a minute.
  std::string why_locked_out(const http::Request& request, const config::Settings& settings) const;

 private:
  struct Rules {
    config::Settings settings;
    std::vector<base::IpNetwork> admin_networks, trusted_proxies;
    bool needs_address = false;  ///< a limit counts addresses
    security::CertificateMap certificates;
  };
  static bool is_from_allowed_network(const security::Permission& row, const Rules& rules,
                                      const http::Request& request);
  /// `token_rules` null: those in use.
  Result<security::IdentityPtr> who_calls(const http::Request& request, const Rules& rules,
                                          const security::JwtRules* token_rules) const;
  static Rules rules_of(const config::Settings& settings);
  bool admit_by_key(const http::ExchangePtr& exchange, const Rules& rules) const;
  /// Who calls, put into `pass`; false: refused and answered.
  bool identify(const http::ExchangePtr& exchange, const Rules& rules, security::Pass& pass) const;
  bool identify_by_certificate(const http::ExchangePtr& exchange, const Rules& rules,
                               security::Pass& pass) const;
  bool is_address_over_limit(const http::ExchangePtr& exchange, const Rules& rules,
                             security::Pass& pass) const;
  bool is_key_over_limit(const http::ExchangePtr& exchange, security::Pass& pass) const;

  const GateParts parts_;
  const bool enabled_;
  base::Cell<Rules> rules_;
};

/// The address a request comes from: the connection's other end, or what trusted proxies say about it
/// (X-Forwarded-For from right to left, up to the first address that is none of theirs). None: unreadable,
/// which no allow-list takes.
std::optional<base::IpAddress> client_address(const http::Request& request,
                                              const std::vector<base::IpNetwork>& trusted_proxies);

}  // namespace enhanced_gptcache::app
