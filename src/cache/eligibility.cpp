#include "cache/eligibility.h"

#include <algorithm>
#include <array>

#include "cache/words.h"

namespace enhanced_gptcache::cache {
namespace {

// Sorted. Words that carry no topic: articles, pronouns, auxiliaries, prepositions, question words, courtesy.
constexpr auto kStopWords = std::to_array<std::string_view>({
    "a",      "about", "all",    "also",  "am",    "an",    "and",   "any",    "are",   "as",     "at",
    "be",     "been",  "being",  "but",   "by",    "can",   "could", "did",    "do",    "does",   "doing",
    "for",    "from",  "had",    "has",   "have",  "he",    "hello", "her",    "here",  "hers",   "hey",
    "hi",     "him",   "his",    "how",   "i",     "if",    "in",    "into",   "is",    "it",     "its",
    "just",   "may",   "me",     "might", "mine",  "must",  "my",    "no",     "not",   "of",     "off",
    "oh",     "ok",    "okay",   "on",    "or",    "our",   "ours",  "out",    "over",  "please", "s",
    "shall",  "she",   "should", "so",    "some",  "t",     "thank", "thanks", "that",  "the",    "their",
    "theirs", "them",  "then",   "there", "these", "they",  "this",  "those",  "to",    "too",    "up",
    "us",     "very",  "was",    "we",    "well",  "were",  "what",  "when",   "where", "which",  "who",
    "whom",   "whose", "why",    "will",  "with",  "would", "yes",   "you",    "your",  "yours",
});
static_assert(std::is_sorted(kStopWords.begin(), kStopWords.end()));

// Sorted. Frequent function words of German, French, Spanish, Italian, Portuguese and Dutch that are no
// English words: two of them, and more of them than of English ones, and the encoder does not know the
// language.
constexpr auto kOtherLanguages = std::to_array<std::string_view>({
    "alla",  "als",    "au",     "auf",  "aus",   "aux",   "avec", "bei",   "che",   "chi",   "como",
    "con",   "cual",   "da",     "dans", "das",   "de",    "deel", "degli", "dei",   "del",   "della",
    "dem",   "den",    "der",    "des",  "di",    "dos",   "du",   "een",   "ein",   "eine",  "einem",
    "einen", "einer",  "el",     "em",   "en",    "es",    "est",  "esta",  "et",    "fue",   "gli",
    "haben", "hat",    "het",    "hoe",  "ich",   "il",    "im",   "ist",   "je",    "kann",  "la",
    "las",   "le",     "les",    "los",  "mein",  "meine", "mi",   "mit",   "na",    "naar",  "nach",
    "nao",   "nicht",  "oder",   "os",   "para",  "per",   "por",  "pour",  "puedo", "qual",  "quand",
    "que",   "quel",   "quelle", "qui",  "quien", "se",    "sich", "sie",   "sind",  "su",    "sul",
    "sur",   "um",     "und",    "une",  "van",   "vom",   "von",  "voor",  "wann",  "warum", "welche",
    "wer",   "werden", "wie",    "wird", "wo",    "wurde", "zijn", "zu",    "zum",   "zur",
});

static_assert(std::is_sorted(kOtherLanguages.begin(), kOtherLanguages.end()));

/// The next code point of valid UTF-8; anything else is read as one byte.
uint32_t next_code_point(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length == 1 || text.size() < length) {
    text.remove_prefix(1);
    return lead;
  }
  uint32_t code = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) code = code << 6U | (static_cast<unsigned char>(text[i]) & 0x3FU);
  text.remove_prefix(length);
  return code;
}

enum class Script { kNone, kLatin, kOther };

Script script_of(uint32_t code) {
  if ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z')) return Script::kLatin;
  if (code < 0xC0 || code == 0xD7 || code == 0xF7) return Script::kNone;
  if (code < 0x250 || (code >= 0x1E00 && code < 0x1F00)) return Script::kLatin;
  // Combining marks, punctuation to symbols, CJK punctuation, private use, emoji.
  if ((code >= 0x300 && code < 0x370) || (code >= 0x2000 && code < 0x2C00) ||
      (code >= 0x3000 && code < 0x3040) || (code >= 0xE000 && code < 0xF900) ||
      (code >= 0xFE00 && code < 0xFE70) || (code >= 0xFF00 && code < 0xFF21) || code == 0xFFFD ||
      code >= 0x1F000) {
    return Script::kNone;
  }
  return Script::kOther;
}

}  // namespace

FunctionWord function_word(std::string_view word) {
  constexpr size_t kLengthMax = 6;  // of both lists
  if (word.empty() || word.size() > kLengthMax) return FunctionWord::kNone;
  if (std::binary_search(kStopWords.begin(), kStopWords.end(), word)) return FunctionWord::kEnglish;
  const bool is_other = std::binary_search(kOtherLanguages.begin(), kOtherLanguages.end(), word);
  return is_other ? FunctionWord::kOtherListed : FunctionWord::kNone;
}

bool has_content_word(std::string_view text) {
  Words words(text);
  for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
    if (!std::binary_search(kStopWords.begin(), kStopWords.end(), word)) return true;
  }
  return false;
}

bool is_in_known_script(std::string_view text) {
  size_t latin = 0;
  size_t other = 0;
  while (!text.empty()) {
    const Script script = script_of(next_code_point(text));
    latin += script == Script::kLatin ? 1 : 0;
    other += script == Script::kOther ? 1 : 0;
  }
  return other * 5 <= latin + other;
}

bool is_in_known_language(std::string_view text) {
  size_t english = 0;
  size_t other = 0;
  Words words(text);
  for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
    if (std::binary_search(kOtherLanguages.begin(), kOtherLanguages.end(), word))
      ++other;
    else if (std::binary_search(kStopWords.begin(), kStopWords.end(), word))
      ++english;
  }
  return other < 2 || other <= english;
}

std::string ineligibility_before_embedding(const Prompt& prompt) {
  if (!prompt.ineligible.empty()) return prompt.ineligible;
  if (!has_content_word(prompt.query)) return "no_content_word";
  if (!is_in_known_script(prompt.query)) return "script";
  if (!is_in_known_language(prompt.query)) return "language";
  return {};
}

std::string ineligibility_of_tokens(const TextStats& text, double unknown_token_share_max) {
  if (text.truncated) return "truncated";
  if (text.tokens == 0) return "no_content_word";
  if (text.unknown_tokens > unknown_token_share_max * text.tokens) return "unknown_tokens";
  return {};
}

std::string ineligibility(const Prompt& prompt, const TextStats& text, double unknown_token_share_max) {
  std::string reason = ineligibility_before_embedding(prompt);
  return reason.empty() ? ineligibility_of_tokens(text, unknown_token_share_max) : reason;
}

}  // namespace enhanced_gptcache::cache
