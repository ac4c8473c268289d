// Time: "today", "yesterday" and "next week" are different times, and an answer for one is wrong for another.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Words that mean one time. The same time on both sides passes.
struct TimeWord {
  std::string_view word;
  std::string_view time;
  /// A time that is often only colour ("weekend trips", "my daily run"): it must not be contradicted,
  /// but may be missing on the other side.
  bool weak = false;
};
constexpr auto kTimes = std::to_array<TimeWord>({
    {"today", "today"},
    {"tonight", "tonight"},
    {"yesterday", "yesterday"},
    {"tomorrow", "tomorrow"},
    {"upcoming", "future", true},
    {"latest", "latest"},
    {"recent", "latest", true},
    {"recently", "latest", true},
    {"newest", "latest"},
    {"monday", "monday"},
    {"tuesday", "tuesday"},
    {"wednesday", "wednesday"},
    {"thursday", "thursday"},
    {"friday", "friday"},
    {"saturday", "saturday"},
    {"sunday", "sunday"},
    {"weekend", "weekend", true},
    {"january", "january"},
    {"february", "february"},
    {"april", "april"},
    {"june", "june"},
    {"july", "july"},
    {"august", "august"},
    {"september", "september"},
    {"october", "october"},
    {"november", "november"},
    {"december", "december"},
    {"nightly", "nightly", true},
    {"daily", "daily", true},
    {"hourly", "hourly", true},
    {"weekly", "weekly", true},
    {"biweekly", "biweekly", true},
    {"fortnightly", "biweekly", true},
    {"monthly", "monthly", true},
    {"quarterly", "quarterly", true},
    {"yearly", "yearly", true},
    {"annually", "yearly", true},
    {"annual", "yearly", true},
});
/// "next week", "last year", "this month": the pair is the time.
constexpr std::array<std::string_view, 5> kWhich{"this", "next", "last", "previous", "past"};
constexpr std::array<std::string_view, 12> kSpans{"week",     "month",  "year",   "weekend",
                                                  "season",   "night",  "weeks",  "quarter",
                                                  "semester", "summer", "winter", "morning"};

struct Time {
  std::string name;
  bool weak = false;
};

const TimeWord* single_time(std::string_view word) {
  const auto found =
      std::find_if(kTimes.begin(), kTimes.end(), [&](const TimeWord& time) { return time.word == word; });
  return found == kTimes.end() ? nullptr : &*found;
}

std::string relative_span(const Words& words, size_t i) {
  if (i + 1 >= words.size()) return {};
  for (const std::string_view which : kWhich) {
    if (words[i].text != which) continue;
    for (const std::string_view span : kSpans) {
      if (words[i + 1].text == span) return fmt::format("{} {}", which == "previous" ? "last" : which, span);
    }
  }
  return {};
}

/// "8am", "8 pm", "8 p.m.": the half of the day, else empty.
std::string_view day_half(const Words& words, size_t i) {
  const std::string_view word = words[i].text;
  const bool is_behind_number = i > 0 && words[i - 1].numeric;
  if (words[i].numeric && word.size() <= 4 && word.ends_with("am")) return "am";
  if (words[i].numeric && word.size() <= 4 && word.ends_with("pm")) return "pm";
  if (is_behind_number && (word == "am" || word == "pm")) return word;
  const bool is_split = i + 1 < words.size() && words[i + 1].text == "m";
  if (is_behind_number && is_split && (word == "a" || word == "p")) return word == "a" ? "am" : "pm";
  return {};
}

std::vector<Time> times_of(const Words& words) {
  std::vector<Time> times;
  for (size_t i = 0; i < words.size(); ++i) {
    if (const TimeWord* time = single_time(words[i].text))
      times.push_back({std::string(time->time), time->weak});
    if (std::string span = relative_span(words, i); !span.empty()) times.push_back({std::move(span), false});
    if (const std::string_view half = day_half(words, i); !half.empty())
      times.push_back({std::string(half), true});
    // "did ... use to be": a time that is over. ("used to" is mostly another thing.)
    if (i + 1 < words.size() && words[i].text == "use" && words[i + 1].text == "to" && words.has_stem("did"))
      times.push_back({"in the past", false});
  }
  return times;
}

bool has(const std::vector<Time>& times, const Time& wanted) {
  return std::any_of(times.begin(), times.end(), [&](const Time& time) { return time.name == wanted.name; });
}

/// A time of `a` that `b` lacks and that cannot be passed over; empty: none.
std::string missing(const std::vector<Time>& a, const std::vector<Time>& b) {
  for (const Time& time : a) {
    if (has(b, time)) continue;
    // A weak one is missed only where the other text names another weak one in its place.
    const bool contradicted =
        std::any_of(b.begin(), b.end(), [&](const Time& other) { return other.weak && !has(a, other); });
    if (!time.weak || contradicted) return time.name;
  }
  return {};
}

}  // namespace

void append_time_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const Time& time : times_of(words)) anchors.push_back(fmt::format("time:{}", time.name));
}

bool is_time_bound(const Words& words) {
  static constexpr auto kMoving =
      std::to_array<std::string_view>({"today", "tonight", "yesterday", "tomorrow", "latest", "newest", "now",
                                       "currently", "current", "recent", "recently", "upcoming", "nowadays"});
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::find(kMoving.begin(), kMoving.end(), words[i].text) != kMoving.end()) return true;
    if (!relative_span(words, i).empty()) return true;
  }
  return false;
}

std::string time_refusal(const Words& query, const Words& candidate) {
  const auto a = times_of(query);
  const auto b = times_of(candidate);
  if (const std::string only = missing(a, b); !only.empty())
    return fmt::format("\"{}\" only in the query", only);
  if (const std::string only = missing(b, a); !only.empty())
    return fmt::format("\"{}\" only in the candidate", only);
  return {};
}

}  // namespace enhanced_gptcache::match
