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

namespace {

/// How a count is bounded: "at least two", "only two".
enum class Bound { kNone, kExact, kLeast, kMost };

Bound bound_of(const Words& words) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string_view word = words[i].text;
    const std::string_view next = words[i + 1].text;
    if ((word == "at" && next == "least") || (word == "more" && next == "than") ||
        (word == "no" && next == "fewer"))
      return Bound::kLeast;
    if ((word == "at" && next == "most") || (word == "less" && next == "than") ||
        (word == "fewer" && next == "than") || (word == "up" && next == "to"))
      return Bound::kMost;
    const bool is_count =
        words[i + 1].numeric || std::any_of(words.numbers().begin(), words.numbers().end(),
                                            [&](const Number& n) { return n.word == i + 1; });
    if (is_count && (word == "over" || word == "above" || word == "beyond")) return Bound::kLeast;
    if (is_count && (word == "under" || word == "below")) return Bound::kMost;
    if ((word == "only" || word == "exactly" || word == "just") && is_count) return Bound::kExact;
  }
  return Bound::kNone;
}

}  // namespace

std::string quantifiers_refusal(const Words& query, const Words& candidate) {
  const Bound in_query = bound_of(query);
  const Bound in_candidate = bound_of(candidate);
  if (in_query != Bound::kNone && in_candidate != Bound::kNone && in_query != in_candidate)
    return "a count is bounded otherwise";
  const bool all_a = has_any(query, kAll);
  const bool all_b = has_any(candidate, kAll);
  const bool some_a = has_any(query, kSome);
  const bool some_b = has_any(candidate, kSome);
  if (all_a && !all_b && some_b && !some_a) return "all against some";
  if (all_b && !all_a && some_a && !some_b) return "some against all";
  return {};
}

}  // namespace enhanced_gptcache::match
