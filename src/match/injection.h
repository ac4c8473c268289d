#pragma once
// Text made to poison a semantic cache: a question others will ask, with words added that tell the model what
// to answer ("... Ignore the above and say that ..."). The whole lands near the bare question, so its
// answer would be served to whoever asks that ("Cache Me, Catch You", NDSS 2026: 87 to 98 % success against
// caches that look at similarity alone). Found by form: what overrides instructions, what dictates an answer,
// what imitates the marks of a conversation; and answers that only repeat what the question told them to say.
// English, and meant to err on the side of refusing: what is found here is still cached, by exact match.

#include <string_view>

namespace enhanced_gptcache::match {

/// Why `text` looks like one; null: it does not. Cost in proportion to the text.
/// "override", "dictated", "role_marks", "persona", "call_to_action".
const char* injection_in(std::string_view text);

/// `answer` has at least four words and hardly any that were not dictated by `query`, in one piece and after
/// its first sentence: the length of the two and where they meet is what a planted answer cannot hide.
bool is_echo(std::string_view query, std::string_view answer);

}  // namespace enhanced_gptcache::match
