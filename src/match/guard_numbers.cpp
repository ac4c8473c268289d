// Numbers: both texts name the same ones, equally often, and in the same order when there are several.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// A number on side `a` that side `b` does not answer; soft ones need no answer. Empty: none.
std::string unanswered(const std::vector<Number>& a, const std::vector<Number>& b) {
  std::vector<bool> taken(b.size(), false);
  for (const bool soft_pass : {false, true}) {
    for (const Number& number : a) {
      if (number.soft != soft_pass) continue;
      size_t match = b.size();
      for (size_t i = 0; i < b.size(); ++i) {
        if (taken[i] || b[i].value != number.value) continue;
        match = i;
        if (!b[i].soft) break;
      }
      if (match < b.size())
        taken[match] = true;
      else if (!number.soft)
        return number.value;
    }
  }
  return {};
}

/// The hard numbers in order of appearance.
std::vector<Number> sequence(const Words& words) {
  std::vector<Number> hard;
  for (const Number& number : words.numbers()) {
    if (!number.soft) hard.push_back(number);
  }
  return hard;
}

/// Whether the number means the same in both: inside an equal word ("6s"), or with the same word right
/// before or behind it ("spring 2010", "790 pages").
bool has_same_neighbour(const Words& a, uint32_t at_a, const Words& b, uint32_t at_b) {
  if (!std::isdigit(static_cast<unsigned char>(a[at_a].text.back())) && a[at_a].text == b[at_b].text)
    return true;
  if (at_a > 0 && at_b > 0 && a[at_a - 1].stem == b[at_b - 1].stem) return true;
  return at_a + 1 < a.size() && at_b + 1 < b.size() && a[at_a + 1].stem == b[at_b + 1].stem;
}

/// The same numbers, but some number is attached to something else now.
bool are_exchanged(const Words& query, const Words& candidate) {
  const auto a = sequence(query);
  const auto b = sequence(candidate);
  if (a.size() != b.size()) return false;
  const auto same_value = [](const Number& x, const Number& y) { return x.value == y.value; };
  if (std::equal(a.begin(), a.end(), b.begin(), same_value)) return false;
  return std::any_of(a.begin(), a.end(), [&](const Number& number) {
    return std::none_of(b.begin(), b.end(), [&](const Number& other) {
      return other.value == number.value && has_same_neighbour(query, number.word, candidate, other.word);
    });
  });
}

}  // namespace

std::string numbers_refusal(const Words& query, const Words& candidate) {
  const auto& a = query.numbers();
  const auto& b = candidate.numbers();
  if (a.empty() && b.empty()) return {};
  if (const std::string only = unanswered(a, b); !only.empty())
    return fmt::format("{} only in the query", only);
  if (const std::string only = unanswered(b, a); !only.empty())
    return fmt::format("{} only in the candidate", only);
  if (are_exchanged(query, candidate)) return "the same numbers in other places";
  return {};
}

}  // namespace enhanced_gptcache::match
