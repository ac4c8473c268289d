// Question words: who, when, where, why and how many ask for different kinds of answers.

#include <fmt/format.h>

#include <array>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// What kind of answer is asked for. kOpen (what, which, how, yes/no...) fits any.
enum class Asked { kOpen, kPerson, kTime, kPlace, kReason, kCount, kAmount, kDuration, kDistance, kAge };

constexpr std::array<std::string_view, 10> kAskedNames{
    "open", "who", "when", "where", "why", "how many", "how much", "how long", "how far", "how old"};

struct HowPhrase {
  std::string_view next;
  Asked asked;
};
constexpr std::array<HowPhrase, 6> kHow{{{"many", Asked::kCount},
                                         {"much", Asked::kAmount},
                                         {"long", Asked::kDuration},
                                         {"far", Asked::kDistance},
                                         {"old", Asked::kAge},
                                         {"come", Asked::kReason}}};
/// "what time", "which city": the noun decides.
constexpr std::array<HowPhrase, 14> kWhat{{{"time", Asked::kTime},
                                           {"year", Asked::kTime},
                                           {"date", Asked::kTime},
                                           {"day", Asked::kTime},
                                           {"month", Asked::kTime},
                                           {"place", Asked::kPlace},
                                           {"city", Asked::kPlace},
                                           {"country", Asked::kPlace},
                                           {"person", Asked::kPerson},
                                           {"reason", Asked::kReason},
                                           {"causes", Asked::kReason},
                                           {"number", Asked::kCount},
                                           {"distance", Asked::kDistance},
                                           {"price", Asked::kAmount}}};

template <size_t N>
Asked asked_by(const std::array<HowPhrase, N>& phrases, std::string_view next) {
  for (const HowPhrase& phrase : phrases) {
    if (phrase.next == next) return phrase.asked;
  }
  return Asked::kOpen;
}

/// The kind asked for by the word at i; `open` whether it is a question word at all.
bool is_question_word(const Words& words, size_t i, Asked& asked) {
  const std::string_view word = words[i].text;
  const std::string_view next = i + 1 < words.size() ? words[i + 1].text : std::string_view();
  asked = Asked::kOpen;
  if (word == "who" || word == "whom" || word == "whose")
    asked = Asked::kPerson;
  else if (word == "when")
    asked = Asked::kTime;
  else if (word == "where")
    asked = Asked::kPlace;
  else if (word == "why")
    asked = Asked::kReason;
  else if (word == "how")
    asked = asked_by(kHow, next);
  else if (word == "what" || word == "which")
    asked = asked_by(kWhat, next);
  else
    return false;
  return true;
}

/// Only a question word at the start of the question counts: "the man who ..." and "when I run it"
/// further on are clauses.
Asked leading_question(const Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    Asked asked = Asked::kOpen;
    if (words[i].sentence_start && is_question_word(words, i, asked)) return asked;
  }
  return Asked::kOpen;
}

/// A price is an amount and an amount may be a count ("how much people"): close kinds are let pass.
bool is_same_kind(Asked a, Asked b) {
  const auto is_quantity = [](Asked asked) { return asked == Asked::kCount || asked == Asked::kAmount; };
  const auto is_span = [](Asked asked) { return asked == Asked::kTime || asked == Asked::kDuration; };
  return a == b || (is_quantity(a) && is_quantity(b)) || (is_span(a) && is_span(b));
}

}  // namespace

std::string question_refusal(const Words& query, const Words& candidate) {
  const Asked a = leading_question(query);
  const Asked b = leading_question(candidate);
  if (a == Asked::kOpen || b == Asked::kOpen || is_same_kind(a, b)) return {};
  return fmt::format("{} against {}", kAskedNames[static_cast<size_t>(a)],
                     kAskedNames[static_cast<size_t>(b)]);
}

}  // namespace enhanced_gptcache::match
