#pragma once
// One blocking HTTP call of the command line to a running server.

#include <string>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "http/exchange.h"

namespace enhanced_gptcache::cli {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// kUnavailable: nobody answers there, with the reason. Never retries; `timeout_ms` at most for the first
/// byte.
Result<HttpAnswer> http_call(const std::string& base_url, const std::string& method, const std::string& path,
                             std::string body, http::Headers headers = {}, int64_t timeout_ms = 30'000);

/// The same call `count` times, one after the other, with the cost of setting up a client paid once.
Result<std::vector<HttpAnswer>> http_calls(const std::string& base_url, const std::string& method,
                                           const std::string& path, std::string body, http::Headers headers,
                                           size_t count, int64_t timeout_ms = 30'000);

/// The `message` of an error body, or the body itself.
std::string error_text(const HttpAnswer& answer);
/// "Authorization: Bearer <value of the environment variable>"; empty without a name. kInvalidArgument: it is
/// not set.
Result<http::Headers> credential_from(const std::string& variable);

}  // namespace enhanced_gptcache::cli
