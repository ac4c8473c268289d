#pragma once
// JSON Web Tokens (RFC 7519, RFC 7515; RFC 8725 for what to beware of) as credentials: who signed it, for
// whom, until when, and which role and tenant its claims stand for.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/cell.h"
#include "base/clock.h"
#include "base/hmac.h"
#include "base/keyed_hash.h"
#include "security/identity.h"
#include "security/jwks.h"

namespace enhanced_gptcache::security {

struct JwtRules {
  std::string issuer;    ///< `iss` must be this
  std::string audience;  ///< `aud` must be this or hold it
  std::string secret;    ///< of HS256; empty: no such token is taken
  int64_t clock_skew_s = 60;
  std::string role_claim = "role";      ///< a name, or a path with points: realm_access.roles
  std::string tenant_claim = "tenant";  ///< the same
  std::vector<std::string> role_map;    ///< "value=role"; empty: the values are our roles
  std::string default_role;             ///< for tokens whose claim names none of ours; empty: refused
};

/// Thread rule: any thread.
class JwtVerifier {
 public:
  explicit JwtVerifier(JwtRules rules, const base::Clock& clock = base::system_clock());

  /// Tokens checked before are checked again.
  void set_rules(JwtRules rules);
  void set_keys(JwkSet keys);
  /// Called when a token names a key that is not there; must not block.
  void on_unknown_key(std::function<void()> callback) { on_unknown_key_ = std::move(callback); }

  /// kInvalidArgument: refused, with a reason that tells the caller nothing it did not know.
  Result<IdentityPtr> authenticate(std::string_view token) const;
  /// What authenticate() would say under other rules, with the keys of now.
  Result<IdentityPtr> authenticate_under(JwtRules rules, std::string_view token) const;

 private:
  struct State {
    JwtRules rules;
    JwkSet keys;
    std::shared_ptr<const base::HmacSha256> hmac;
  };
  struct Checked {
    IdentityPtr identity;
    int64_t expires_ms = 0;
  };
  void replace(std::function<void(State&)> change);
  Result<Checked> check(const State& state, std::string_view token) const;
  bool is_signed(const State& state, std::string_view algorithm, std::string_view key_id,
                 std::string_view message, std::string_view signature) const;

  const base::Clock& clock_;
  const base::SecretKey cache_key_ = base::random_key();
  std::function<void()> on_unknown_key_;
  std::mutex change_mutex_;
  base::Cell<State> state_;
  // Tokens already checked, because a public-key signature costs as much as many exact hits.
  mutable std::mutex mutex_;
  mutable std::unordered_map<base::Hash128, Checked, base::Hash128Hasher> checked_;  // guarded by mutex_
  mutable uint64_t generation_ = 0;                                                  // guarded by mutex_
};

/// Empty, or what is wrong with "value=role".
std::string check_role_mapping(std::string_view text);

}  // namespace enhanced_gptcache::security
