#pragma once
// May the semantic layer look at this prompt at all? What it must not see is matched exactly or not
// at all: a sentence encoder is only trusted on text it can read, whole.

#include <cstdint>
#include <string>
#include <string_view>

#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cache {

/// Empty when eligible, else why not: the prompt's own reason, "no_content_word", "script", "language",
/// "truncated", "unknown_tokens".
std::string ineligibility(const Prompt& prompt, const TextStats& text, double unknown_token_share_max);
/// The part that needs no tokenizer; cheap enough to ask before embedding.
std::string ineligibility_before_embedding(const Prompt& prompt);
/// The part the tokenizer answers.
std::string ineligibility_of_tokens(const TextStats& text, double unknown_token_share_max);

/// At least one word that is not a stop word ("how do I" has none).
bool has_content_word(std::string_view text);

/// At least four fifths of the letters are Latin: what an English encoder was trained on. Digits,
/// punctuation, symbols and emoji do not count.
bool is_in_known_script(std::string_view text);

/// False when function words of other languages outnumber English ones: an English encoder maps whole
/// languages to one corner. By word lists, so a text of names alone passes.
bool is_in_known_language(std::string_view text);

/// By the lists of is_in_known_language(): `word` in lower case.
enum class FunctionWord : uint8_t { kNone, kEnglish, kOtherListed };
FunctionWord function_word(std::string_view word);

/// Speaks of its asker, so that the answer may differ between users: "my balance", "am I", "the PIN you sent
/// me"; or may do so, because its writing or language is none we have word lists for (readable.h). A
/// first-person pronoun, in English, German, French, Spanish, Italian, Portuguese or Dutch, that does not
/// only stand in a frame anybody might use: "how do I tie a tie", "can you tell me", "I want to know".
bool is_personal(std::string_view text);
/// Of the question or a turn of the user before it.
bool is_personal(const Prompt& prompt);

}  // namespace enhanced_gptcache::cache
