#include "match/guards.h"

#include <array>

#include "base/keyed_hash.h"
#include "match/common_words.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::array<Guard, 12> kGuards{{
    {"numbers", numbers_refusal},
    {"negation", negation_refusal},
    {"antonym", antonym_refusal},
    {"names", names_refusal},
    {"question", question_refusal},
    {"form", form_refusal},
    {"time", time_refusal},
    {"direction", direction_refusal},
    {"units", units_refusal},
    {"identifiers", identifiers_refusal},
    {"quantifiers", quantifiers_refusal},
    {"long_text", long_text_refusal},
}};

}  // namespace

std::span<const Guard> guards() { return kGuards; }

void append_anchors(const Words& turn, std::vector<std::string>& anchors) {
  for (const Number& number : turn.numbers()) {
    if (!number.soft) anchors.push_back("number:" + number.value);
  }
  if (const size_t negations = count_negations(turn); negations > 0)
    anchors.push_back("negations:" + std::to_string(negations));
  append_unit_anchors(turn, anchors);
  append_antonym_anchors(turn, anchors);
  append_time_anchors(turn, anchors);
  append_form_anchors(turn, anchors);
  append_name_anchors(turn, anchors);
  append_identifier_anchors(turn, anchors);
  // A subject in lower case: two conversations about flights to two cities differ in nothing else. And
  // their order: from Boston to Denver is another flight than back.
  base::Hash128 order;
  for (const Word& word : turn.words()) {
    if (is_common_word(word.stem)) continue;
    order = base::keyed_hash({}, "subjects", {order.hex(), word.stem});
    if (!word.numeric) anchors.push_back("word:" + std::string(word.stem));
  }
  anchors.push_back("order:" + order.hex());
}

std::optional<std::string_view> refusing_guard(const Words& query, const Words& candidate) {
  for (const Guard& guard : kGuards) {
    if (!guard.refusal(query, candidate).empty()) return guard.name;
  }
  return std::nullopt;
}

std::optional<std::string_view> refusing_guard(std::string_view query, std::string_view candidate) {
  if (query == candidate) return std::nullopt;
  return refusing_guard(Words(query), Words(candidate));
}

std::vector<std::pair<std::string, std::string>> all_checks(std::string_view query,
                                                            std::string_view candidate) {
  const Words a(query);
  const Words b(candidate);
  std::vector<std::pair<std::string, std::string>> checks;
  for (const Guard& guard : kGuards) {
    std::string refusal = guard.refusal(a, b);
    checks.emplace_back(guard.name, refusal.empty() ? "pass" : std::move(refusal));
  }
  return checks;
}

}  // namespace enhanced_gptcache::match
