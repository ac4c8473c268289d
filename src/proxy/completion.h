#pragma once
// The canonical answer of an entry: the provider's non-streamed answer as JSON text, with `id` and
// `created` first so that a hit gets fresh ones by splicing, without parsing the rest. And the rules
// which answers may be learned.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "proxy/field_table.h"
#include "proxy/token_count.h"

namespace enhanced_gptcache::proxy {

/// Keeps the order in which the provider wrote the fields.
using Json = nlohmann::ordered_json;

/// Parses what a provider sent. Discarded (is_discarded()) when malformed or nested over 128 levels.
Json parse_foreign(std::string_view text);

/// What learning needs of an answer.
struct Answer {
  std::string completion;  ///< canonical text
  std::string text;        ///< of the first choice
  bool has_tool_calls = false;
  uint64_t tokens_prompt = 0;
  uint64_t tokens_completion = 0;
};

/// Reads a complete 2xx answer and decides admission. An Error says, in one word, why it must not be
/// stored: "malformed", "error", "no_choices", "finish_reason", "refusal", "empty".
/// `tokens`, when not null, gets prompt and completion tokens of the answer, admitted or not.
Result<Answer> admit(Dialect dialect, std::string_view body, TokenCount* tokens = nullptr);
Result<Answer> admit_document(Dialect dialect, const Json& document, TokenCount* tokens = nullptr);

/// True for texts that only decline ("I'm sorry, but I can't help with that.").
bool is_refusal_text(std::string_view text);

/// `prefix` ("chatcmpl-", "cmpl-") and 24 random characters. Any thread.
std::string fresh_id(Dialect dialect);
/// A request id of ours: "req_" and 24 hexadecimal digits. Any thread.
std::string fresh_request_id();

/// The answer a native entry (a string) gives to `/v1` callers of this dialect.
std::string completion_of_text(Dialect dialect, std::string_view text, std::string_view model,
                               uint64_t tokens_prompt, uint64_t tokens_completion);

/// May this entry answer a caller of `dialect`? Native JSON that is no string may not.
bool is_servable(const Entry& entry, Dialect dialect);
/// The whole answer of an entry for a JSON caller, with fresh `id` and `created` (seconds).
std::string render_json(const Entry& entry, Dialect dialect, std::string_view model, int64_t now_s);

}  // namespace enhanced_gptcache::proxy
