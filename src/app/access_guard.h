#pragma once
// Who may reach which endpoint while there are no keys of our own: /admin only from this machine, and no web
// page that a browser on this machine happens to show. Against DNS rebinding (a foreign name that resolves to
// this address) the Host header is checked, against forged cross-site requests the Origin header; see the
// Fetch standard (origin) and RFC 9110, sections 7.4 (421) and 15.5.16 (415).

#include <optional>
#include <string>

#include "config/settings.h"
#include "http/exchange.h"

namespace enhanced_gptcache::app {

struct AccessRefusal {
  int status = 403;  ///< 403 not allowed, 415 body of another type, 421 not a name of this server
  std::string message;
};

/// True for requests that check_access() has anything to say about: cheap, for every request.
bool needs_access_check(const http::Request& request);
/// Thread rule: any thread. Empty: go on.
std::optional<AccessRefusal> check_access(const config::Settings& settings, const http::Request& request);

}  // namespace enhanced_gptcache::app
