#pragma once
// Guards: cheap checks that two questions do not differ in something that changes the answer while
// hardly changing the embedding (a number, a negation, a direction...). They fail closed: a guard that
// sees such a difference refuses, however similar the texts are. Each family has its own file
// (guard_*.cpp) and knows nothing of the others; the list in guards.cpp fixes their order.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "match/words.h"

namespace enhanced_gptcache::match {

/// One guard. Pure and symmetric: which text was stored and which was asked does not matter.
struct Guard {
  std::string_view name;
  /// Empty: pass; else what differs, in a few words for explain().
  std::string (*refusal)(const Words& query, const Words& candidate);
};

/// All guards in the order they are asked, likeliest to refuse first.
std::span<const Guard> guards();

/// Guards that are not asked: one bit each, in the order of guards().
using GuardMask = uint32_t;
inline bool is_guard_off(size_t guard, GuardMask off) { return ((off >> guard) & 1U) != 0; }
/// kInvalidArgument: a name no guard has; the message lists those there are.
Result<GuardMask> guard_mask(std::span<const std::string> names);

/// Any thread; about ten microseconds a pair of questions. The name of the first guard that refuses.
std::optional<std::string_view> refusing_guard(std::string_view query, std::string_view candidate,
                                               GuardMask off = 0);
std::optional<std::string_view> refusing_guard(const Words& query, const Words& candidate, GuardMask off = 0);

/// What all_checks() says of a guard that is not asked.
inline constexpr std::string_view kGuardOff = "off";
/// Every guard's verdict for explain(): its name and "pass", "off" or why not.
std::vector<std::pair<std::string, std::string>> all_checks(std::string_view query,
                                                            std::string_view candidate, GuardMask off = 0);

/// What of one turn of a conversation must agree for two conversations to be the same: its numbers,
/// units, negations, names and all words that can be a subject, each as a short tagged string. Unsorted.
void append_anchors(const Words& turn, std::vector<std::string>& anchors);

// The families, one file each.
std::string numbers_refusal(const Words& query, const Words& candidate);
std::string units_refusal(const Words& query, const Words& candidate);
std::string negation_refusal(const Words& query, const Words& candidate);
std::string antonym_refusal(const Words& query, const Words& candidate);
std::string direction_refusal(const Words& query, const Words& candidate);
std::string question_refusal(const Words& query, const Words& candidate);
std::string form_refusal(const Words& query, const Words& candidate);
std::string time_refusal(const Words& query, const Words& candidate);
std::string names_refusal(const Words& query, const Words& candidate);
std::string identifiers_refusal(const Words& query, const Words& candidate);
std::string quantifiers_refusal(const Words& query, const Words& candidate);
std::string long_text_refusal(const Words& query, const Words& candidate);
std::string writing_refusal(const Words& query, const Words& candidate);
std::string roles_refusal(const Words& query, const Words& candidate);

/// Written like a name: capitalised inside a sentence, or in capitals.
bool is_name(const Word& word);

/// Asks about a time that moves with the clock ("today", "latest", "right now"): its answer goes stale.
bool is_time_bound(const Words& words);

// Their parts in append_anchors().
size_t count_negations(const Words& words);
void append_unit_anchors(const Words& words, std::vector<std::string>& anchors);
void append_antonym_anchors(const Words& words, std::vector<std::string>& anchors);
void append_time_anchors(const Words& words, std::vector<std::string>& anchors);
void append_form_anchors(const Words& words, std::vector<std::string>& anchors);
void append_name_anchors(const Words& words, std::vector<std::string>& anchors);
void append_identifier_anchors(const Words& words, std::vector<std::string>& anchors);
void append_writing_anchors(const Words& words, std::vector<std::string>& anchors);

}  // namespace enhanced_gptcache::match
