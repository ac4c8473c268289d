// Long texts, where one word among a hundred moves the embedding by nothing: their subject words must be the
// same.

#include <fmt/format.h>

#include "match/common_words.h"
#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Longer than the questions the guards' word lists and the verifier were made for.
constexpr size_t kLongWords = 48;

/// The first subject word of `a` that `b` lacks; empty: none.
std::string_view subject_only_in(const Words& a, const Words& b) {
  for (const Word& word : a.words()) {
    if (!is_common_word(word.stem) && !b.has_stem(word.stem)) return word.text;
  }
  return {};
}

}  // namespace

std::string long_text_refusal(const Words& query, const Words& candidate) {
  if (query.size() < kLongWords && candidate.size() < kLongWords) return {};
  std::string_view only = subject_only_in(query, candidate);
  if (!only.empty()) return fmt::format("\"{}\" only in the query, and the texts are long", only);
  only = subject_only_in(candidate, query);
  if (!only.empty()) return fmt::format("\"{}\" only in the candidate, and the texts are long", only);
  return {};
}

}  // namespace enhanced_gptcache::match
