#pragma once
// From the settings table to the options of what is in src/security.

#include "config/settings.h"
#include "security/audit_log.h"
#include "security/jwt.h"
#include "security/limiter.h"

namespace enhanced_gptcache::app {

security::JwtRules jwt_rules(const config::Settings& settings);
security::LimitRules limit_rules(const config::Settings& settings);
security::AuditOptions audit_options(const config::Settings& settings);

}  // namespace enhanced_gptcache::app
