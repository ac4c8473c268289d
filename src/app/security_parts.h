#pragma once
// Everything of src/security a running server has, made and configured in one place.

#include <memory>
#include <string>

#include "app/gatekeeper.h"
#include "app/jwks_source.h"
#include "config/settings_source.h"
#include "security/audit_log.h"
#include "security/jwt.h"
#include "security/key_store.h"
#include "security/limiter.h"

namespace enhanced_gptcache::app {

/// Thread rule: configure() from one thread at a time, everything else from any. Outlives the server.
class SecurityParts {
 public:
  /// Opens keys, tokens and the audit log in `folder`; makes the first admin key when security is on.
  static Result<std::unique_ptr<SecurityParts>> open(const config::Settings& settings,
                                                     const std::string& folder,
                                                     const base::SecretKey& instance_key);
  ~SecurityParts();

  void configure(const config::Change& change);
  bool admit(const http::ExchangePtr& exchange) const { return gatekeeper_->admit(exchange); }
  bool still_admits(const http::Request& request) const { return gatekeeper_->still_admits(request); }
  std::string why_locked_out(const http::Request& request, const config::Settings& settings) const {
    return gatekeeper_->why_locked_out(request, settings);
  }
  /// Writes the finished request down if it was refused or is an administrative one.
  void audit(const http::Exchange& exchange, int status);
  /// Something the server did by itself.
  void audit_event(std::string event, std::string detail);

  /// Do no key (revoked or expired ones count, admins' and viewers' do not), certificate row or tokens let
  /// callers of another tenant in?
  bool is_only_tenant(std::string_view tenant, const config::Settings& settings) const;

  security::KeyStore& keys() { return *keys_; }
  security::Limiter& limiter() { return *limiter_; }
  security::AuditLog* audit_log() { return audit_.get(); }  ///< null: security.audit is off

 private:
  SecurityParts() = default;
  std::unique_ptr<security::KeyStore> keys_;
  std::unique_ptr<security::JwtVerifier> tokens_;
  std::unique_ptr<JwksSource> jwks_;
  std::shared_ptr<security::Limiter> limiter_;
  std::unique_ptr<security::AuditLog> audit_;
  std::unique_ptr<Gatekeeper> gatekeeper_;
};

}  // namespace enhanced_gptcache::app
