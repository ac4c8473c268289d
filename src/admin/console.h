#pragma once
// GET /console: the operator console, a page with one script and one style sheet, all inside the binary. It
// calls the same endpoints as everybody else, with the credential that its user types in, so there is nothing
// here that could let anybody in. GET /console/session tells it who the caller is and what the role may call.
//
// The page may load nothing from elsewhere and run no inline script (Content Security Policy Level 3).

#include "admin/console_files.h"
#include "http/server.h"
#include "security/identity.h"

namespace enhanced_gptcache::admin {

/// Call before register_openapi(). `security_on`: callers have identities.
void register_console(http::Server& server, bool security_on);

/// The answer for one file: 200, or 304 when the caller has it already.
http::Response console_response(const ConsoleFile& file, std::string_view accept_encoding,
                                std::string_view if_none_match);
/// True when `accept_encoding` takes gzip (RFC 9110, section 12.5.3).
bool accepts_gzip(std::string_view accept_encoding);
/// {"version", "security", "id", "role", "tenant", "user", "scopes", "namespaces", "allowed": [{method,
/// path}]}; null: security is off, and everything is allowed.
std::string session_json(const security::Identity* identity, bool security_on);

}  // namespace enhanced_gptcache::admin
