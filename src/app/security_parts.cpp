#include "app/security_parts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/first_key.h"
#include "app/security_options.h"
#include "base/request_fields.h"
#include "security/certificates.h"

namespace enhanced_gptcache::app {
namespace {

/// A path may hold what somebody pasted there.
std::string safe_path(std::string_view path) {
  return base::holds_own_key(path) ? std::string("(holds a key)") : std::string(path.substr(0, 256));
}

}  // namespace

SecurityParts::~SecurityParts() {
  if (audit_ != nullptr) {
    audit_event("server.stop", "");
    audit_->flush(2000);
  }
}

Result<std::unique_ptr<SecurityParts>> SecurityParts::open(const config::Settings& settings,
                                                           const std::string& folder,
                                                           const base::SecretKey& instance_key) {
  std::unique_ptr<SecurityParts> parts(new SecurityParts());
  EGPTC_TRY(parts->keys_, security::KeyStore::open(folder, instance_key));
  if (settings.security.enabled) EGPTC_TRY_VOID(ensure_admin_key(*parts->keys_, settings, folder));
  parts->tokens_ = std::make_unique<security::JwtVerifier>(jwt_rules(settings));
  JwksOptions jwks{settings.security.jwt_jwks_file, settings.security.jwt_jwks_url,
                   settings.security.jwt_jwks_refresh_seconds, settings.upstream.ca_file};
  if (settings.security.enabled && jwks.is_used()) {
    EGPTC_TRY(parts->jwks_, JwksSource::start(std::move(jwks), *parts->tokens_));
  }
  parts->limiter_ = std::make_shared<security::Limiter>(limit_rules(settings));
  if (settings.security.audit) {
    EGPTC_TRY(parts->audit_, security::AuditLog::open(folder, instance_key, audit_options(settings)));
  }
  parts->gatekeeper_ =
      std::make_unique<Gatekeeper>(GateParts{*parts->keys_, *parts->tokens_, *parts->limiter_}, settings);
  parts->audit_event("server.start", fmt::format("version {}, security {}", EGPTC_VERSION,
                                                 settings.security.enabled ? "on" : "off"));
  return parts;
}

void SecurityParts::configure(const config::Change& change) {
  const config::Settings& now = *change.after;
  tokens_->set_rules(jwt_rules(now));
  limiter_->set_rules(limit_rules(now));
  gatekeeper_->configure(now);
  if (!change.keys.empty()) audit_event("settings.changed", fmt::format("{}", fmt::join(change.keys, ", ")));
}

bool SecurityParts::is_only_tenant(std::string_view tenant, const config::Settings& settings) const {
  if (!settings.security.jwt_issuer.empty()) return false;
  const auto rows = security::CertificateMap::parse(settings.security.client_certificates);
  return rows && !rows->has_other_tenant(tenant) && !keys_->has_other_tenant(tenant);
}

void SecurityParts::audit(const http::Exchange& exchange, int status) {
  if (audit_ == nullptr) return;
  const http::Request& request = exchange.request();
  const bool refused = exchange.notes.refused;
  // Most requests are neither refused nor below the paths that are audited.
  if (!refused && !request.path.starts_with("/admin") && !request.path.starts_with("/cache/")) return;
  if (!refused) {
    const security::Permission* row = security::find_permission(request.method, request.path);
    if (row == nullptr || !row->audited) return;
  }
  security::AuditEvent event;
  event.event = !refused ? "admin" : status == 429 ? "limit.refused" : "access.refused";
  const security::Identity* who = exchange.pass == nullptr ? nullptr : exchange.pass->identity.get();
  event.actor = who != nullptr ? who->id : refused ? exchange.notes.key_id : "local";
  if (who != nullptr) event.role = to_string(who->role);
  event.address = request.peer;
  event.method = request.method;
  event.path = safe_path(request.path);
  event.status = status;
  event.detail = exchange.notes.audit;
  event.is_refusal = refused;
  audit_->append(std::move(event));
}

void SecurityParts::audit_event(std::string event, std::string detail) {
  if (audit_ == nullptr) return;
  security::AuditEvent what;
  what.event = std::move(event);
  what.actor = "server";
  what.detail = std::move(detail);
  audit_->append(std::move(what));
}

}  // namespace enhanced_gptcache::app
