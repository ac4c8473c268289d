#include "match/word_salad.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "match/common_words.h"
#include "match/words.h"

namespace enhanced_gptcache::match {
namespace {

// Of 14,986 questions that people ask alike (Quora, dev half) about 3 in 1,000 are found, mistyped ones
// mostly.
constexpr size_t kWordsMin = 6;
constexpr size_t kWordsMax = 60;
constexpr size_t kSubjectBytesMin = 3;
/// Subjects named again: so many, and such a share of all.
constexpr size_t kRepeatsMin = 3;
constexpr size_t kRepeatShare = 3;

using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view word, Names names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

bool is_article(std::string_view word) { return is_one_of(word, {"the", "a", "an"}); }

/// No sentence has the two beside each other; "the who", "in the what" and the like are left to be names.
bool is_broken(std::string_view first, std::string_view second) {
  if (is_article(first))
    return is_one_of(second, {"is", "are", "was", "were", "of", "please", "has", "have", "how", "does"});
  if (first == "are" && second == "how") return true;
  if (is_one_of(first, {"is", "are"}))
    return first != second && is_one_of(second, {"is", "are", "was", "were"});
  if (is_one_of(first, {"of", "to", "for", "with"})) return is_one_of(second, {"please", "is", "are"});
  return is_one_of(first, {"where", "how"}) && is_one_of(second, {"where", "how", "what", "which"});
}

/// Function words where no sentence has them.
bool breaks_order(const std::vector<Word>& words) {
  if (words.back().text == "the") return true;
  for (size_t i = 1; i < words.size(); ++i) {
    const bool ends = words[i].sentence_start;
    if (ends ? words[i - 1].text == "the" : is_broken(words[i - 1].text, words[i].text)) return true;
  }
  return false;
}

bool repeats_subjects(const std::vector<Word>& words) {
  std::vector<std::string_view> subjects;
  for (const Word& word : words)
    if (word.text.size() >= kSubjectBytesMin && !word.numeric && !is_common_word(word.stem))
      subjects.push_back(word.stem);
  const size_t all = subjects.size();
  std::sort(subjects.begin(), subjects.end());
  subjects.erase(std::unique(subjects.begin(), subjects.end()), subjects.end());
  const size_t again = all - subjects.size();
  return again >= kRepeatsMin && again * kRepeatShare >= all;
}

}  // namespace

bool is_word_salad(std::string_view text) {
  // A word has a byte and a blank at least, and hardly more than twenty.
  if (text.size() < kWordsMin * 2 || text.size() > kWordsMax * 20) return false;
  const Words words(text);
  if (words.size() < kWordsMin || words.size() > kWordsMax) return false;
  return breaks_order(words.words()) || repeats_subjects(words.words());
}

}  // namespace enhanced_gptcache::match
