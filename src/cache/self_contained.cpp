#include "cache/self_contained.h"

#include <algorithm>
#include <array>
#include <string>

#include "cache/eligibility.h"
#include "cache/words.h"

namespace enhanced_gptcache::cache {
namespace {

/// Anywhere: stands for something said before.
constexpr auto kPointers = std::to_array<std::string_view>(
    {"above",  "again", "another", "either",   "else", "former", "he",     "her",     "hers",
     "him",    "his",   "instead", "it",       "its",  "itself", "latter", "neither", "one",
     "ones",   "other", "others",  "previous", "same", "she",    "such",   "that",    "their",
     "theirs", "them",  "then",    "these",    "they", "this",   "those"});
static_assert(std::is_sorted(kPointers.begin(), kPointers.end()));
/// As the first word: goes on from what was said.
constexpr auto kContinuations = std::to_array<std::string_view>(
    {"also", "and", "because", "but", "no", "ok", "okay", "or", "so", "thanks", "why", "yes"});
static_assert(std::is_sorted(kContinuations.begin(), kContinuations.end()));

constexpr size_t kContentWordsMin = 2;

template <typename List>
bool is_in(const List& words, std::string_view word) {
  return std::binary_search(words.begin(), words.end(), word);
}

/// "is there a...", "there are..." state existence; any other "there" is a place named before.
bool is_existence(std::string_view previous, std::string_view next) {
  const auto is_be = [](std::string_view word) {
    return word == "is" || word == "are" || word == "was" || word == "were" || word == "s";
  };
  return is_be(previous) || is_be(next);
}

}  // namespace

bool is_self_contained(std::string_view query) {
  Words words(query);
  std::string before;
  std::string word(words.next());
  if (is_in(kContinuations, word)) return false;
  size_t content_words = 0;
  for (size_t i = 0; !word.empty(); ++i) {
    std::string after(words.next());
    if (is_in(kPointers, word)) return false;
    if (word == "there" && !is_existence(before, after)) return false;
    if (i == 1 && word == "about" && (before == "what" || before == "how")) return false;
    content_words += has_content_word(word) ? 1 : 0;
    before = std::move(word);
    word = std::move(after);
  }
  return content_words >= kContentWordsMin;
}

}  // namespace enhanced_gptcache::cache
