#pragma once
// What goes to a provider and what comes back: paths, end-to-end headers, and the two edits a
// forwarded body may need. Everything else is passed on as it came.

#include <string>
#include <string_view>

#include "http/exchange.h"

namespace enhanced_gptcache::proxy {

struct ForwardRules {
  bool keep_credentials = true;     ///< false: another vendor, or the configured key is used
  bool drop_authorization = false;  ///< it is a token for us
  bool keep_encoding = false;       ///< pass-through: the bytes go on as they are, Accept-Encoding included
  bool keep_cookies = false;
  /// False: the answer is for more than the caller, so it is to be the whole one, whatever the caller has.
  bool keep_conditions = true;
  bool upgrade = false;  ///< WebSocket: Upgrade and Connection go on
};

/// Puts `value` in place of every header of that name.
void set_header(http::Headers& headers, std::string_view name, std::string value);
/// Headers for the provider: hop-by-hop ones, those for the cache and, by the rules, credentials left out.
http::Headers upstream_headers(const http::Request& request, const ForwardRules& rules);
/// Headers for the caller: hop-by-hop ones and an upstream's own X-Cache left out.
http::Headers caller_headers(const http::Headers& upstream, const ForwardRules& rules);

/// "/v1/chat/completions?a=b" -> "/chat/completions?a=b" (base_url has the /v1); other paths stay as they
/// are.
std::string upstream_path(const http::Request& request, bool keep_credentials);

struct BodyEdits {
  bool drop_cache = false;  ///< LiteLLM's control field
  bool ask_usage = false;   ///< stream_options.include_usage = true
};
/// `body` is a valid JSON object. The text of every other member stays as it is, in its order.
std::string edit_body(std::string_view body, const BodyEdits& edits);

/// What besides the body can change an answer: query string and the headers that change answers (beta
/// features, API version, language). Empty for most requests.
std::string surroundings_of(const http::Request& request);

bool equals_ignoring_case(std::string_view a, std::string_view b);
/// True when `value` is a media type `type`, whatever parameters follow.
bool is_media_type(std::string_view value, std::string_view type);

}  // namespace enhanced_gptcache::proxy
