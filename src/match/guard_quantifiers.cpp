// Quantifiers: all of them and some of them are different questions.

#include <algorithm>
#include <array>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::array<std::string_view, 4> kAll{"all", "every", "each", "always"};
constexpr std::array<std::string_view, 6> kSome{"some", "few", "several", "most", "half", "sometimes"};

template <size_t N>
bool has_any(const Words& words, const std::array<std::string_view, N>& list) {
  return std::any_of(words.words().begin(), words.words().end(), [&](const Word& word) {
    return std::find(list.begin(), list.end(), word.text) != list.end();
  });
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

}  // namespace enhanced_gptcache::match
