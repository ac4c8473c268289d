// Direction: "from A to B" is not "from B to A", "kg to lbs" not "lbs to kg", "A better than B" not
// "B better than A". Each text is read as a set of ordered pairs; a pair that stands reversed on the
// other side, and only reversed there, refuses.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::array<std::string_view, 4> kRelations{"to", "than", "into", "over"};
/// Words between a "from" and its "to", at most: "from the old town of A to B".
constexpr size_t kOriginReach = 6;

/// `first` relates to `second`, in this order. Stems.
struct Ordered {
  std::string_view first;
  std::string_view second;
  friend bool operator==(const Ordered&, const Ordered&) = default;
};

bool is_article(std::string_view word) {
  return word == "a" || word == "an" || word == "the" || word == "my" || word == "your";
}

/// The first word after position i that is no article.
std::string_view word_after(const Words& words, size_t i) {
  for (++i; i < words.size(); ++i) {
    if (!is_article(words[i].text)) return words[i].stem;
  }
  return {};
}

/// What the relation at i starts from: the word after the nearest "from", else the word before it.
std::string_view origin_of(const Words& words, size_t i) {
  for (size_t back = i; back-- > 0 && i - back <= kOriginReach;) {
    if (words[back].text == "from") return word_after(words, back);
  }
  return i > 0 ? words[i - 1].stem : std::string_view();
}

/// "to B from A": the origin comes last.
void add_reversed_order(const Words& words, size_t i, std::vector<Ordered>& pairs) {
  for (size_t ahead = i + 1; ahead < words.size() && ahead - i <= kOriginReach; ++ahead) {
    if (words[ahead].text == "from") pairs.push_back({word_after(words, ahead), word_after(words, i)});
  }
}

std::vector<Ordered> ordered_pairs(const Words& words) {
  std::vector<Ordered> pairs;
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::find(kRelations.begin(), kRelations.end(), words[i].text) == kRelations.end()) continue;
    pairs.push_back({origin_of(words, i), word_after(words, i)});
    if (words[i].text == "to") add_reversed_order(words, i, pairs);
  }
  std::erase_if(pairs, [](const Ordered& pair) {
    return pair.first.empty() || pair.second.empty() || pair.first == pair.second;
  });
  return pairs;
}

bool contains(const std::vector<Ordered>& pairs, const Ordered& wanted) {
  return std::find(pairs.begin(), pairs.end(), wanted) != pairs.end();
}

std::optional<size_t> position_of_than(const Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].text == "than") return i;
  }
  return std::nullopt;
}

bool stands_before(const Words& words, size_t end, std::string_view stem) {
  for (size_t i = 0; i < end; ++i) {
    if (words[i].stem == stem) return true;
  }
  return false;
}

/// "is A taller than B": A stands somewhere before, B right after; swapped in the other text.
bool comparison_is_swapped(const Words& a, const Words& b) {
  const auto in_a = position_of_than(a);
  const auto in_b = position_of_than(b);
  if (!in_a || !in_b) return false;
  const std::string_view after_a = word_after(a, *in_a);
  const std::string_view after_b = word_after(b, *in_b);
  if (after_a.empty() || after_b.empty() || after_a == after_b) return false;
  return stands_before(a, *in_a, after_b) && stands_before(b, *in_b, after_a);
}

}  // namespace

std::string direction_refusal(const Words& query, const Words& candidate) {
  const auto in_query = ordered_pairs(query);
  if (in_query.empty()) return {};
  const auto in_candidate = ordered_pairs(candidate);
  for (const Ordered& pair : in_query) {
    const Ordered reversed{pair.second, pair.first};
    const bool only_reversed = contains(in_candidate, reversed) && !contains(in_candidate, pair);
    // A text with both directions ("there and back") is not contradicted by one of them.
    if (only_reversed && !contains(in_query, reversed))
      return fmt::format("{} and {} the other way round", pair.first, pair.second);
  }
  return comparison_is_swapped(query, candidate) ? "the compared things are swapped" : "";
}

}  // namespace enhanced_gptcache::match
