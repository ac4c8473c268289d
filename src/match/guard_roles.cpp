// Roles: who does it and to whom. "Who sued Apple?" is not "Who did Apple sue?", "My boss yelled at me" not
// "I yelled at my boss", "I hit a car" not "I was hit by a car". Asked only of texts with the same content
// words: where those differ other guards and the verifier look.

#include <algorithm>
#include <array>
#include <vector>

#include "match/common_words.h"
#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

using Stems = std::vector<std::string_view>;

/// "help me", "tell me": asks the one who answers, and says nothing of who does what.
constexpr auto kRequests = std::to_array<std::string_view>(
    {"allowed",   "ask",     "available", "build",    "call",     "convince", "draw", "explain",
     "find",      "forgive", "get",       "give",     "guide",    "help",     "let",  "make",
     "necessary", "needed",  "open",      "possible", "required", "remind",   "send", "show",
     "suggest",   "teach",   "tell",      "walk",     "write"});
/// Who is asked for as the one who did it, or as the one it was done to.
enum class Who { kNone, kDoer, kTarget };

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Content stems in order; verbs that say no more than "ask" are common words and left out.
Stems content_of(const Words& words) {
  Stems stems;
  for (const Word& word : words.words()) {
    if (!is_common_word(word.stem)) stems.push_back(word.stem);
  }
  return stems;
}

/// "sued" and "sue", "taught" and "teach": the words but for one verb in another form are enough.
bool has_same_content(Stems a, Stems b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  Stems only_a;
  Stems only_b;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only_a));
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(only_b));
  if (only_a.empty() && only_b.empty()) return true;
  return only_a.size() == 1 && only_b.size() == 1 && only_a[0].front() == only_b[0].front() && a.size() >= 2;
}

size_t count_subjects(const Words& words) {
  static constexpr auto kSubjects = std::to_array<std::string_view>({"i", "he", "she", "we", "they"});
  return static_cast<size_t>(std::count_if(words.words().begin(), words.words().end(),
                                           [](const Word& word) { return is_one_of(word.text, kSubjects); }));
}

size_t count_objects(const Words& words) {
  static constexpr auto kObjects = std::to_array<std::string_view>({"me", "him", "us", "them"});
  size_t count = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!is_one_of(words[i].text, kObjects) || words[i].all_upper) continue;
    // "tell me", "explain to me", "find for me".
    const size_t verb = i > 1 && (words[i - 1].text == "to" || words[i - 1].text == "for") ? i - 2 : i - 1;
    count += i > 0 && is_one_of(words[verb].text, kRequests) ? 0 : 1;
  }
  return count;
}

constexpr auto kDo = std::to_array<std::string_view>({"did", "does", "do"});

/// Of "who" and "what": "who did he sue" asks for the target, "who sued him" for the doer.
Who who_of(const Words& words) {
  static constexpr auto kOther =
      std::to_array<std::string_view>({"is", "are", "was", "were", "am", "be", "has", "have", "had", "can",
                                       "could", "will", "would", "should", "may", "might", "must"});
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const bool is_what = words[i].text == "what" || words[i].text == "which";
    if (!is_what && words[i].text != "who" && words[i].text != "whom") continue;
    const bool is_behind = i + 2 < words.size() && is_what && is_one_of(words[i + 2].text, kDo);
    if (is_one_of(words[i + 1].text, kDo) || is_behind) return Who::kTarget;
    if (words[i].text == "whom" || is_one_of(words[i + 1].text, kOther)) return Who::kNone;
    // "what eats wolves"; of other words behind "what" nobody knows whether they act.
    const Word& next = words[i + 1];
    const bool acts = !next.capitalised && next.text.ends_with("s") && !is_common_word(next.stem);
    return is_what && !acts ? Who::kNone : Who::kDoer;
  }
  return Who::kNone;
}

/// "was hit by", "used by".
bool is_passive(const Words& words) {
  static constexpr auto kBe =
      std::to_array<std::string_view>({"is", "are", "was", "were", "be", "been", "being", "got", "get"});
  static constexpr auto kParticiples = std::to_array<std::string_view>(
      {"bought", "brought", "built", "caught", "cut",    "done", "fed",    "found", "held", "hit", "hurt",
       "kept",   "known",   "led",   "left",   "lost",   "made", "met",    "paid",  "read", "run", "said",
       "seen",   "sent",    "shown", "sold",   "struck", "sung", "taught", "told",  "won"});
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].text != "by") continue;
    if (i + 1 < words.size() && words[i - 1].text == words[i + 1].text) continue;  // "step by step"
    const std::string_view before = words[i - 1].text;
    if (before.ends_with("ed") || before.ends_with("en") || is_one_of(before, kParticiples)) return true;
    for (size_t back = 2; back <= std::min<size_t>(i, 5); ++back) {
      if (is_one_of(words[i - back].text, kBe)) return true;
    }
  }
  return false;
}

/// A word between two others that may say what the one does to the other; lists have none.
bool has_relation(const Words& words, size_t begin, size_t end) {
  static constexpr auto kIdle = std::to_array<std::string_view>(
      {"a", "an", "the", "most", "more", "very", "of", "in", "on", "at", "its", "their", "best", "also"});
  for (size_t i = begin; i < end; ++i) {
    if (!is_one_of(words[i].text, kIdle) && !words[i].numeric && !is_name(words[i])) return true;
  }
  return false;
}

/// "Dogs that chase cats", "Cats that chase dogs": the same words but for two that changed places.
bool is_swapped(const Words& a, const Words& b) {
  static constexpr auto kSymmetric = std::to_array<std::string_view>(
      {"and",      "or",        "vs",         "versus",   "between",   "compare",      "compared",
       "differ",   "different", "difference", "similar",  "same",      "equal",        "married",
       "marry",    "with",      "distance",   "mix",      "combine",   "relate",       "related",
       "nor",      "engaged",   "connected",  "dating",   "dated",     "acquaintance", "acquainted",
       "cousin",   "cousins",   "sibling",    "siblings", "neighbor",  "neighbour",    "partner",
       "partners", "colleague", "friend",     "roommate", "classmate", "twin",         "twins",
       "adjacent", "allied",    "divorced",   "opposite", "close",     "near",         "friends",
       "meet",     "met",       "together",   "rhyme",    "synonym",   "both"});
  if (a.size() != b.size()) return false;
  std::vector<size_t> differing;
  for (size_t i = 0; i < a.size(); ++i) {
    if (is_one_of(a[i].text, kSymmetric)) return false;
    if (a[i].stem != b[i].stem) differing.push_back(i);
  }
  if (differing.size() != 2) return false;
  const size_t first = differing[0];
  const size_t second = differing[1];
  if (second - first > 4 || !has_relation(a, first + 1, second)) return false;
  return a[first].stem == b[second].stem && a[second].stem == b[first].stem &&
         !is_common_word(a[first].stem) && !is_common_word(a[second].stem);
}

/// "What tools do people use": the thing done to comes first, as in a passive.
bool has_target_first(const Words& words) { return who_of(words) == Who::kTarget; }

}  // namespace

std::string roles_refusal(const Words& query, const Words& candidate) {
  const Stems a = content_of(query);
  const Stems b = content_of(candidate);
  if (a.empty() || !has_same_content(a, b)) return {};
  const bool is_passive_a = is_passive(query);
  const bool is_passive_b = is_passive(candidate);
  if (is_passive_a != is_passive_b) {
    // With its ends swapped a passive says the same.
    const bool is_fronted = has_target_first(is_passive_a ? candidate : query);
    return a == b && a.size() > 1 && !is_fronted ? "active against passive" : "";
  }
  const Who who_a = who_of(query);
  const Who who_b = who_of(candidate);
  if (who_a != Who::kNone && who_b != Who::kNone && who_a != who_b)
    return "who did it against to whom it was done";
  const auto less = [](size_t x, size_t y) { return x < y ? -1 : x > y ? 1 : 0; };
  const int subjects = less(count_subjects(query), count_subjects(candidate));
  const int objects = less(count_objects(query), count_objects(candidate));
  if (subjects * objects < 0) return "doer against the one it is done to";
  return is_swapped(query, candidate) ? "two words have changed places" : "";
}

}  // namespace enhanced_gptcache::match
