#include "cache/self_contained.h"

#include <algorithm>
#include <array>
#include <string>

#include "cache/eligibility.h"
#include "match/words.h"

namespace enhanced_gptcache::cache {
namespace {

/// Anywhere: stands for something said before, or for the speaker's own things.
constexpr auto kPointers = std::to_array<std::string_view>(
    {"above",     "again",   "already", "another", "both", "either", "else",   "former", "he",   "her",
     "hers",      "him",     "his",     "instead", "it",   "its",    "itself", "latter", "mine", "more",
     "my",        "neither", "next",    "one",     "ones", "other",  "others", "our",    "ours", "previous",
     "remaining", "same",    "she",     "still",   "such", "that",   "their",  "theirs", "them", "then",
     "these",     "they",    "this",    "those",   "us",   "we",     "yet"});
static_assert(std::is_sorted(kPointers.begin(), kPointers.end()));
/// First words of a question. Not "which": it chooses among what was named before.
constexpr auto kOpenings = std::to_array<std::string_view>(
    {"are", "can",  "could", "did",  "do",    "does", "has",   "have", "how",  "is",   "should",
     "was", "were", "what",  "when", "where", "who",  "whose", "why",  "will", "would"});
static_assert(std::is_sorted(kOpenings.begin(), kOpenings.end()));
/// In an earlier turn: how to answer from then on, or a part to play.
constexpr auto kDirectives = std::to_array<std::string_view>(
    {"act",   "always", "answer",  "assume", "avoid",  "imagine", "language", "me",    "my",
     "never", "now",    "only",    "our",    "please", "pretend", "remember", "reply", "respond",
     "speak", "style",  "suppose", "us",     "use",    "we",      "write"});
static_assert(std::is_sorted(kDirectives.begin(), kDirectives.end()));
/// Behind a definite noun: says of what it is.
constexpr auto kSpecifiers =
    std::to_array<std::string_view>({"at", "between", "during", "for", "from", "in", "of", "on", "to"});
static_assert(std::is_sorted(kSpecifiers.begin(), kSpecifiers.end()));

constexpr size_t kContentWordsMin = 2;
/// How far behind "the" its specification may begin.
constexpr size_t kDefiniteReach = 3;
/// A longer turn says more than a question does.
constexpr size_t kPlainTurnWordsMax = 40;

template <typename List>
bool is_in(const List& words, std::string_view word) {
  return std::binary_search(words.begin(), words.end(), word);
}

/// "is there a...", "there are..." state existence; any other "there" is a place named before.
bool is_existence(const match::Words& words, size_t at) {
  const auto is_be = [&](size_t i) {
    return i < words.size() && (words[i].text == "is" || words[i].text == "are" || words[i].text == "was" ||
                                words[i].text == "were");
  };
  return (at > 0 && is_be(at - 1)) || is_be(at + 1);
}

bool is_superlative(std::string_view word) {
  return word == "best" || word == "most" || word == "least" || word == "first" ||
         (word.size() > 4 && word.ends_with("est"));
}

/// "the capital of Peru", "the novel Dune", "the best way": defined by the question itself.
bool is_defined(const match::Words& words, size_t the) {
  for (size_t i = the + 1; i < words.size() && i <= the + kDefiniteReach; ++i) {
    const bool is_name = words[i].capitalised && !words[i].sentence_start;
    if (is_name || is_superlative(words[i].text)) return true;
    if (i > the + 1 && i + 1 < words.size() && is_in(kSpecifiers, words[i].text))
      return words[i + 1].text != "the" || is_defined(words, i + 1);
  }
  return false;
}

bool leans_at(const match::Words& words, size_t at) {
  const std::string_view word = words[at].text;
  if (is_in(kPointers, word)) return true;
  if (word == "there") return !is_existence(words, at);
  if (word == "the") return !is_defined(words, at);
  return at == 1 && word == "about" && (words[0].text == "what" || words[0].text == "how");
}

bool is_plain_turn(const Turn& turn) {
  if (turn.role != "user") return turn.role == "assistant";
  const match::Words words(turn.content);
  if (words.size() == 0 || words.size() > kPlainTurnWordsMax || !is_in(kOpenings, words[0].text))
    return false;
  return std::none_of(words.words().begin(), words.words().end(),
                      [](const match::Word& word) { return is_in(kDirectives, word.text); });
}

}  // namespace

bool is_self_contained(std::string_view query) {
  const match::Words words(query);
  if (words.size() == 0 || !is_in(kOpenings, words[0].text)) return false;
  size_t content_words = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (leans_at(words, i)) return false;
    content_words += has_content_word(words[i].text) ? 1 : 0;
  }
  return content_words >= kContentWordsMin;
}

bool is_plain_conversation(const std::vector<Turn>& context) {
  return std::all_of(context.begin(), context.end(), is_plain_turn);
}

}  // namespace enhanced_gptcache::cache
