#pragma once
// From a request body to what the cache needs: first what the exact layer needs (one pass over the
// body), then, only after an exact miss, what the semantic layer needs.

#include <optional>
#include <string>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "proxy/errors.h"
#include "proxy/field_table.h"

namespace enhanced_gptcache::proxy {

/// Immutable once parsed; owns its text.
struct RequestBody {
  Dialect dialect = Dialect::kChat;
  std::string document;   ///< canonical JSON of the whole body
  std::string canonical;  ///< canonical JSON of the keyed fields (exact key)
  std::string model;
  std::string user;   ///< body field `user`
  std::string cache;  ///< canonical JSON of the body field `cache`, empty without
  std::optional<double> temperature;
  std::string surroundings;  ///< already at the end of `canonical`
  bool stream = false;
  bool include_usage = false;  ///< stream_options.include_usage
};

/// Errors name the field and what is allowed. `surroundings` is what besides the body can change the
/// answer (query string, beta headers); it becomes part of the key when not empty.
ApiResult<RequestBody> parse_body(Dialect dialect, std::string_view body, std::string_view surroundings);

struct PromptRules {
  bool mask_system = false;
  std::string_view named_query;  ///< X-Cache-Query; empty: the newest user text
};

/// Fills system, shape, query, context and ineligible of `prompt`. Errors: a conversation nobody
/// could answer (no messages, wrong types).
ApiResult<void> complete_prompt(const RequestBody& body, const PromptRules& rules, Prompt& prompt);

/// `text` with dates, times, UUIDs, long hexadecimal and digit runs replaced by '#', so that a system
/// prompt that carries the date or a session id stays in one partition (opt-in).
std::string mask_volatile(std::string_view text);

}  // namespace enhanced_gptcache::proxy
