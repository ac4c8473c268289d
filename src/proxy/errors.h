#pragma once
// Errors in OpenAI's form, {"error": {message, type, param, code}}, which is what the SDKs raise
// exceptions from.

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "enhanced_gptcache/result.h"
#include "http/exchange.h"

namespace enhanced_gptcache::proxy {

/// One refusal on its way to a caller.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param;          ///< body field or header at fault; empty: null
  std::string code;           ///< machine-readable; empty: null
  int64_t retry_after_s = 0;  ///< above 0: sent as Retry-After
};
template <typename T>
using ApiResult = tl::expected<T, ApiError>;

/// 400 about one field or header.
tl::unexpected<ApiError> refuse(std::string param, std::string message);

/// The `type` OpenAI uses with a status.
std::string_view error_type(int status);
std::string error_body(const ApiError& error);
http::Response to_response(const ApiError& error);

/// What a failed upstream call becomes: 502 unreachable or broken, 503 with Retry-After while the
/// circuit breaker is open or a queue is full, 504 too late.
ApiError from_upstream(const Error& error, int64_t breaker_open_ms);

/// 503 with Retry-After: embedder.overload is shed, and the embedder had no time for the question.
ApiError embedder_overloaded();
bool is_embedder_overloaded(const ApiError& error);

/// In the dialect of this path: Anthropic's form below /v1/messages, OpenAI's everywhere else.
http::Response to_response(const ApiError& error, std::string_view path);

/// For the server's own protocol errors on /v1 paths (413, 431, 405, 404, 408...).
http::Response openai_error(int status, std::string_view message);

}  // namespace enhanced_gptcache::proxy
