// Negation: one text denies what the other asks.

#include <array>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::array<std::string_view, 15> kNegations{"not",    "never",   "no",      "without", "none",
                                                      "nobody", "nothing", "nowhere", "neither", "nor",
                                                      "cannot", "non",     "lack",    "dont",    "except"};
/// The same without an apostrophe, as people type.
constexpr std::array<std::string_view, 11> kUnmarked{
    "doesnt", "didnt", "isnt", "arent", "wasnt", "cant", "wont", "shouldnt", "wouldnt", "couldnt", "havent"};

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& list) {
  for (const std::string_view candidate : list) {
    if (word == candidate) return true;
  }
  return false;
}

/// "or not" asks the same without it, "not only" affirms, and "no. 5", "no. of" are number signs.
bool is_idle(const Words& words, size_t i) {
  const std::string_view word = words[i].text;
  if (word == "not") {
    // "or not", "or why not".
    for (size_t back = 1; back <= 2 && back <= i; ++back) {
      if (words[i - back].text == "or") return true;
    }
    return i + 1 < words.size() && words[i + 1].text == "only";
  }
  if (word == "no")
    return i + 1 < words.size() &&
           (words[i + 1].numeric || words[i + 1].text == "matter" || words[i + 1].text == "of");
  return false;
}

}  // namespace

size_t count_negations(const Words& words) {
  size_t count = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i].text;
    if ((is_one_of(word, kNegations) || is_one_of(word, kUnmarked)) && !is_idle(words, i)) ++count;
    // "anything but theft": not theft. ("Nothing but" negates by its first word already.)
    if ((word == "anything" || word == "everything") && i + 1 < words.size() && words[i + 1].text == "but")
      ++count;
    // "people fail to quit": they do not.
    if (words[i].stem == "fail" && i + 1 < words.size() && words[i + 1].text == "to") ++count;
  }
  return count;
}

std::string negation_refusal(const Words& query, const Words& candidate) {
  const size_t a = count_negations(query);
  const size_t b = count_negations(candidate);
  // Parity, so that "not impossible to ..." and its double twin agree, and presence, so that two
  // negations never stand against none.
  if (a % 2 == b % 2 && (a > 0) == (b > 0)) return {};
  return a > b ? "a negation only in the query" : "a negation only in the candidate";
}

}  // namespace enhanced_gptcache::match
