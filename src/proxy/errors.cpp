#include "proxy/errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/canonical_json.h"

namespace enhanced_gptcache::proxy {
namespace {

constexpr std::string_view kEmbedderOverloaded = "embedder_overloaded";

std::string string_or_null(std::string_view text) {
  return text.empty() ? "null" : base::json_string(base::repair_utf8(text));
}

/// The client has one code for "no connection" and "not even tried"; only its words tell them apart.
bool is_breaker(const Error& error) {
  return error.code == ErrorCode::kUnavailable &&
         error.message.find("left alone after repeated failures") != std::string::npos;
}

}  // namespace

tl::unexpected<ApiError> refuse(std::string param, std::string message) {
  ApiError error;
  error.param = std::move(param);
  error.message = std::move(message);
  return tl::unexpected<ApiError>(std::move(error));
}

std::string_view error_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  if (status == 504) return "timeout_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string error_body(const ApiError& error) {
  return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":{},"code":{}}}}})",
                     base::json_string(base::repair_utf8(error.message)), error_type(error.status),
                     string_or_null(error.param), string_or_null(error.code));
}

http::Response to_response(const ApiError& error) {
  http::Response response;
  response.status = error.status;
  response.headers.push_back({"Content-Type", "application/json"});
  if (error.retry_after_s > 0)
    response.headers.push_back({"Retry-After", std::to_string(error.retry_after_s)});
  response.body = error_body(error);
  return response;
}

http::Response to_response(const ApiError& error, std::string_view path) {
  http::Response response = to_response(error);
  if (path != "/v1/messages" && !path.starts_with("/v1/messages/")) return response;
  response.body = fmt::format(R"({{"type":"error","error":{{"type":"{}","message":{}}}}})",
                              error_type(error.status), base::json_string(base::repair_utf8(error.message)));
  return response;
}

ApiError from_upstream(const Error& error, int64_t breaker_open_ms) {
  ApiError out;
  if (error.code == ErrorCode::kDeadline) {
    out.status = 504;
    out.code = "upstream_timeout";
  } else if (error.code == ErrorCode::kOverloaded || is_breaker(error)) {
    out.status = 503;
    out.code = "upstream_unavailable";
    out.retry_after_s = std::max<int64_t>(1, (breaker_open_ms + 999) / 1000);
  } else if (error.code == ErrorCode::kInvalidArgument) {
    out.status = 400;
  } else {
    out.status = 502;
    out.code = error.code == ErrorCode::kUnavailable ? "upstream_unreachable" : "upstream_error";
  }
  // Refused by us before anything was sent.
  if (error.code == ErrorCode::kInvalidArgument) {
    out.message = fmt::format("The request was not forwarded: {}.", error.message);
    return out;
  }
  out.message = fmt::format("The upstream could not answer: {}.", error.message);
  return out;
}

ApiError embedder_overloaded() {
  ApiError error;
  error.status = 503;
  error.code = kEmbedderOverloaded;
  error.message = "The cache is overloaded: too many requests wait for an embedding. Try again in a second.";
  error.retry_after_s = 1;
  return error;
}

bool is_embedder_overloaded(const ApiError& error) { return error.code == kEmbedderOverloaded; }

http::Response openai_error(int status, std::string_view message) {
  ApiError error;
  error.status = status;
  error.message = message;
  if (status == 413) error.code = "request_too_large";
  if (status == 503) error.retry_after_s = 1;
  return to_response(error);
}

}  // namespace enhanced_gptcache::proxy
