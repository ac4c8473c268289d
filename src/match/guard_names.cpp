// Names: each text has a capitalised word that the other lacks altogether, so they speak of different
// things (Paris against Berlin). One name more on one side alone is not enough: it may be an apposition.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Names of one thing, separated by spaces.
constexpr auto kSameThing = std::to_array<std::string_view>({
    "us usa america american americans states",
    "uk britain british england",
    "france french",
    "germany german",
    "spain spanish",
    "china chinese",
    "netherlands dutch holland",
    "switzerland swiss",
    "greece greek",
    "denmark danish",
    "turkey turkish",
    "poland polish",
    "ireland irish",
    "wales welsh",
    "philippines filipino",
    "nyc york",
    "la angeles",
    "javascript js",
    "typescript ts",
    "postgres postgresql",
    "kubernetes k8s",
    "tv television",
    "cs computer",
    "inr rs rupees",
    "eu europe european",
});
/// Endings that make an adjective or a plural of a name: India, Indian; Pakistan, Pakistani.
constexpr auto kEndings =
    std::to_array<std::string_view>({"n", "an", "ian", "ean", "ese", "ish", "ic", "i", "s", "y"});
constexpr size_t kEndedNameBytesMin = 4;
constexpr size_t kMisspeltBytesMin = 5;

bool holds_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t space = list.find(' ');
    if (list.substr(0, space) == word) return true;
    list = space == std::string_view::npos ? std::string_view() : list.substr(space + 1);
  }
  return false;
}

bool name_one_thing(std::string_view a, std::string_view b) {
  return std::any_of(kSameThing.begin(), kSameThing.end(),
                     [&](std::string_view list) { return holds_word(list, a) && holds_word(list, b); });
}

bool differ_by_ending(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (a.size() < kEndedNameBytesMin || b.substr(0, a.size()) != a) return false;
  return std::find(kEndings.begin(), kEndings.end(), b.substr(a.size())) != kEndings.end();
}

/// Two neighbouring letters exchanged: a slip of the fingers. Other distances are not forgiven, because
/// Iran and Iraq, or two first names, are as close.
bool differ_by_swap(std::string_view a, std::string_view b) {
  if (a.size() != b.size() || a.size() < kMisspeltBytesMin) return false;
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin());
  const auto at = static_cast<size_t>(in_a - a.begin());
  if (at + 1 >= a.size() || a[at] != b[at + 1] || a[at + 1] != b[at]) return false;
  return a.substr(at + 2) == b.substr(at + 2);
}

bool is_same_name(const Word& name, const Word& word) {
  return word.text == name.text || word.stem == name.stem || differ_by_ending(name.text, word.text) ||
         differ_by_ending(name.stem, word.stem) || differ_by_swap(name.text, word.text) ||
         name_one_thing(name.text, word.text);
}

/// The first name of `a` that `b` has in no form; empty: none.
std::string_view name_only_in(const Words& a, const Words& b) {
  if (a.is_title()) return {};
  for (const Word& word : a.words()) {
    if (!is_name(word)) continue;
    const bool known = std::any_of(b.words().begin(), b.words().end(),
                                   [&](const Word& other) { return is_same_name(word, other); });
    if (!known) return word.text;
  }
  return {};
}

}  // namespace

bool is_name(const Word& word) {
  if (word.numeric || word.text.size() < 2) return false;
  return word.all_upper || (word.capitalised && !word.sentence_start);
}

void append_name_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const Word& word : words.words()) {
    if (is_name(word)) anchors.push_back(fmt::format("name:{}", word.stem));
  }
}

std::string names_refusal(const Words& query, const Words& candidate) {
  const std::string_view a = name_only_in(query, candidate);
  if (a.empty()) return {};
  const std::string_view b = name_only_in(candidate, query);
  if (b.empty()) return {};
  return fmt::format("{} against {}", a, b);
}

}  // namespace enhanced_gptcache::match
