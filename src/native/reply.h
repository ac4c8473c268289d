#pragma once
// JSON answers of the native API, and its errors in the same form as OpenAI's, so that one error
// handler on the caller's side serves both.

#include <string>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "http/exchange.h"

namespace enhanced_gptcache::native {

http::Response json_response(int status, std::string body);
/// {"error": {message, type, param, code}}; `param` may be empty (null in the body).
http::Response error_response(int status, std::string_view message, std::string_view param = {});
/// The status and body for an Error of ours.
http::Response error_response(const Error& error, std::string_view param = {});

/// The body of a lookup that hit or missed (docs: design of /cache/lookup).
/// `shown` false: without similarity, probability, nearest and entry id, which tell what others asked.
std::string lookup_json(const Lookup& lookup, int64_t now_ms, double latency_ms, bool shown = true);
/// Everything about one entry; `with_response` adds response and completion.
std::string entry_json(const Entry& entry, bool with_response);
std::string explanation_json(const Explanation& explanation, int64_t now_ms, double latency_ms);

}  // namespace enhanced_gptcache::native
