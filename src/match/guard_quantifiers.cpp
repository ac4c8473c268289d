// Quantifiers: all of them and some of them are different questions. And long texts, where one word among
// a hundred moves the embedding by nothing: their subject words must be the same.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "match/common_words.h"
#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::array<std::string_view, 4> kAll{"all", "every", "each", "always"};
constexpr std::array<std::string_view, 6> kSome{"some", "few", "several", "most", "half", "sometimes"};
/// Longer than the questions the guards' word lists and the verifier were made for.
constexpr size_t kLongWords = 48;

template <size_t N>
bool has_any(const Words& words, const std::array<std::string_view, N>& list) {
  return std::any_of(words.words().begin(), words.words().end(), [&](const Word& word) {
    return std::find(list.begin(), list.end(), word.text) != list.end();
  });
}

/// The first subject word of `a` that `b` lacks; empty: none.
std::string_view subject_only_in(const Words& a, const Words& b) {
  for (const Word& word : a.words()) {
    if (!is_common_word(word.stem) && !b.has_stem(word.stem)) return word.text;
  }
  return {};
}

}  // namespace

std::string quantifiers_refusal(const Words& query, const Words& candidate) {
  const bool all_a = has_any(query, kAll);
  const bool all_b = has_any(candidate, kAll);
  const bool some_a = has_any(query, kSome);
  const bool some_b = has_any(candidate, kSome);
  if (all_a && !all_b && some_b && !some_a) return "all against some";
  if (all_b && !all_a && some_a && !some_b) return "some against all";
  return {};
}

std::string long_text_refusal(const Words& query, const Words& candidate) {
  if (query.size() < kLongWords && candidate.size() < kLongWords) return {};
  std::string_view only = subject_only_in(query, candidate);
  if (!only.empty()) return fmt::format("\"{}\" only in the query, and the texts are long", only);
  only = subject_only_in(candidate, query);
  if (!only.empty()) return fmt::format("\"{}\" only in the candidate, and the texts are long", only);
  return {};
}

}  // namespace enhanced_gptcache::match
