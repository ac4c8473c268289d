// The second half of the pair features: two last questions seen with the history they share. "Did he win?"
// and "Did Ali win the fight?" differ in words, but in none that the conversation has not named.

#include <algorithm>
#include <array>

#include "match/common_words.h"
#include "match/guards.h"
#include "match/pair_features.h"

namespace enhanced_gptcache::match {
namespace {

/// Below it another entry is as good as none; also the margin's zero point without other entries.
constexpr double kOtherCosineMin = 0.6;
/// As in pair_features.cpp.
constexpr size_t kWordsMax = 96;
/// Stand for something said before.
constexpr auto kPointerWords = std::to_array<std::string_view>(
    {"he", "her", "hers", "him", "his", "it", "its", "one", "ones", "she", "that", "their", "them", "then",
     "there", "these", "they", "this", "those"});
static_assert(std::is_sorted(kPointerWords.begin(), kPointerWords.end()));

void tidy(std::vector<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

bool has(const std::vector<std::string>& sorted, std::string_view text) {
  return std::binary_search(sorted.begin(), sorted.end(), text, std::less<>());
}

/// What one text has and the other lacks.
struct Added {
  float content = 0, unsaid = 0, recent = 0, unsaid_names = 0, unsaid_numbers = 0, numbers = 0, pointers = 0;
};

Added added_by(const Words& one, const Words& other, const History& history) {
  Added added;
  std::vector<std::string_view> seen;
  for (size_t i = 0; i < std::min(one.size(), kWordsMax); ++i) {
    const Word& word = one[i];
    if (std::binary_search(kPointerWords.begin(), kPointerWords.end(), word.text)) added.pointers += 1;
    if (is_common_word(word.stem) || other.has_stem(word.stem)) continue;
    if (std::find(seen.begin(), seen.end(), word.stem) != seen.end()) continue;
    seen.push_back(word.stem);
    added.content += 1;
    if (history.holds_recently(word.stem)) added.recent += 1;
    if (history.holds(word.stem)) continue;
    added.unsaid += 1;
    if (is_name(word)) added.unsaid_names += 1;
  }
  for (const Number& number : one.numbers()) {
    const auto& others = other.numbers();
    const auto is_same = [&](const Number& with) { return with.value == number.value; };
    if (number.soft || std::any_of(others.begin(), others.end(), is_same)) continue;
    added.numbers += 1;
    if (!history.holds_number(number.value)) added.unsaid_numbers += 1;
  }
  return added;
}

}  // namespace

History::History(std::span<const std::string_view> turns) {
  size_t bytes = 0;
  for (size_t i = turns.size(); i > 0 && bytes < kBytesMax; --i) {
    const std::string_view turn = turns[i - 1].substr(0, kBytesMax - bytes);
    read(turn, i + 2 > turns.size());
    bytes += turn.size();
  }
  tidy(stems_);
  tidy(recent_);
  tidy(numbers_);
}

void History::read(std::string_view turn, bool is_recent) {
  const Words words(turn);
  for (const Word& word : words.words()) {
    stems_.emplace_back(word.stem);
    if (is_recent) recent_.emplace_back(word.stem);
  }
  for (const Number& number : words.numbers()) numbers_.push_back(number.value);
}

bool History::holds(std::string_view stem) const { return has(stems_, stem); }
bool History::holds_recently(std::string_view stem) const { return has(recent_, stem); }
bool History::holds_number(std::string_view value) const { return has(numbers_, value); }

void fill_history(const Words& a, const Words& b, const History& history, PairFeatures& features) {
  const auto at = [&](PairFeature feature) -> float& { return features[static_cast<size_t>(feature)]; };
  const Added in_a = added_by(a, b, history);
  const Added in_b = added_by(b, a, history);
  const float content = in_a.content + in_b.content;
  const float unsaid = in_a.unsaid + in_b.unsaid;
  at(PairFeature::kUnsaidMin) = std::min(in_a.unsaid, in_b.unsaid);
  at(PairFeature::kUnsaidMax) = std::max(in_a.unsaid, in_b.unsaid);
  at(PairFeature::kSaidShare) = content > 0 ? 1 - unsaid / content : 1;
  at(PairFeature::kRecentShare) = content > 0 ? (in_a.recent + in_b.recent) / content : 1;
  at(PairFeature::kUnsaidNames) = in_a.unsaid_names + in_b.unsaid_names;
  at(PairFeature::kUnsaidNumbers) = in_a.unsaid_numbers + in_b.unsaid_numbers;
  const bool is_a_terser = in_a.content <= in_b.content;
  at(PairFeature::kPointers) = is_a_terser ? in_a.pointers - in_b.pointers : in_b.pointers - in_a.pointers;
  at(PairFeature::kBothAdd) = in_a.content > 0 && in_b.content > 0 ? 1 : 0;
  const bool is_one_sided = std::min(in_a.numbers, in_b.numbers) == 0 && in_a.numbers + in_b.numbers > 0;
  if (is_one_sided && in_a.unsaid_numbers + in_b.unsaid_numbers == 0) at(PairFeature::kGuardNumbers) = 0;
}

float margin_over(double cosine, double nearest_other) {
  return static_cast<float>(cosine - std::max(nearest_other, kOtherCosineMin));
}

}  // namespace enhanced_gptcache::match
