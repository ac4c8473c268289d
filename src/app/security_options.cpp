#include "app/security_options.h"

namespace enhanced_gptcache::app {

security::JwtRules jwt_rules(const config::Settings& settings) {
  const auto& from = settings.security;
  security::JwtRules rules;
  rules.issuer = from.jwt_issuer;
  rules.audience = from.jwt_audience;
  rules.secret = from.jwt_secret;
  rules.clock_skew_s = from.jwt_clock_skew_seconds;
  rules.role_claim = from.jwt_role_claim;
  rules.tenant_claim = from.jwt_tenant_claim;
  rules.role_map = from.jwt_role_map;
  if (from.jwt_default_role != "none") rules.default_role = from.jwt_default_role;
  return rules;
}

security::LimitRules limit_rules(const config::Settings& settings) {
  const auto& from = settings.limits;
  const auto rule = [&from](double per_second, int64_t concurrent) {
    return security::LimitRule{per_second, per_second * from.burst_seconds, concurrent};
  };
  security::LimitRules rules;
  rules.key = rule(from.requests_per_second_key, from.concurrent_key);
  rules.user = rule(from.requests_per_second_user, from.concurrent_user);
  rules.address = rule(from.requests_per_second_ip, from.concurrent_ip);
  rules.inserts = rule(from.inserts_per_second_key, 0);
  rules.probes_per_minute = from.probes_per_minute;
  rules.probe_similarity = from.probe_similarity;
  rules.refuse_probes = from.refuse_probes;
  return rules;
}

security::AuditOptions audit_options(const config::Settings& settings) {
  const auto& from = settings.security;
  security::AuditOptions options;
  options.file_bytes_max = static_cast<size_t>(from.audit_mb_max) << 20U;
  options.files_max = static_cast<size_t>(from.audit_files_max);
  options.refusals_per_second = from.audit_refusals_per_second;
  return options;
}

}  // namespace enhanced_gptcache::app
