#pragma once
// Which credential of ours a request carries, with security on.

#include <string>
#include <string_view>

#include "http/exchange.h"

namespace enhanced_gptcache::app {

/// Views into the request.
struct Credential {
  std::string_view key;    ///< egptc_..., from Authorization: Bearer, X-EGPTC-Key, x-api-key or api-key
  std::string_view token;  ///< a JSON Web Token, from Authorization: Bearer
  std::string problem;     ///< why what was sent cannot be used; empty: nothing is wrong with its form
};

/// Two different credentials of ours in one request are a problem, not a choice.
Credential find_credential(const http::Request& request);

}  // namespace enhanced_gptcache::app
