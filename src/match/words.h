#pragma once
// A text as the guards see it: lower-cased words with their stems and how they were written, and the
// numbers with their units. Made once per text, shared by all guards.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "match/identifiers.h"
#include "match/writing.h"

namespace enhanced_gptcache::match {

/// Reduces an English word to a stem: "increases", "increased" and "increasing" meet in "increas". Suffix
/// stripping only (after Porter, 1980, much shortened): a stem need not be a word, equal words have equal
/// stems.
std::string stem_of(std::string_view word);

/// A number of the text in one spelling: "10,000", "10k" and "ten thousand" are all "10000".
struct Number {
  std::string value;
  uint32_t word = 0;  ///< index of the word it stands in
  /// "one", "first" and the like also have other uses: they answer a number on the other side, but are
  /// not missed there.
  bool soft = false;
};

/// One word of a text.
struct Word {
  std::string_view text;  ///< lower case; "n't" of a contraction is the word "not"
  std::string_view stem;
  bool capitalised = false;  ///< first letter written upper-case
  bool sentence_start = false;
  bool all_upper = false;  ///< at least two letters, all upper-case
  bool numeric = false;    ///< has a digit
};

/// Thread rule: immutable once made; movable is not needed, so the views stay valid.
class Words {
 public:
  explicit Words(std::string_view text);
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

  const std::vector<Word>& words() const { return words_; }
  const std::vector<Number>& numbers() const { return numbers_; }
  const std::vector<Identifier>& identifiers() const { return identifiers_; }
  const Writing& writing() const { return writing_; }
  size_t size() const { return words_.size(); }
  const Word& operator[](size_t i) const { return words_[i]; }
  bool has_stem(std::string_view stem) const;
  /// Written Like a Title, or without lower-case letters: capitals tell nothing.
  bool is_title() const { return is_title_; }

 private:
  struct Raw;
  void split(std::string_view text);
  void add_word(std::string_view written, bool sentence_start);
  void find_numbers();
  void judge_title();

  std::string lowered_;  // words and stems, reserved once: views into it stay valid
  std::vector<Word> words_;
  std::vector<Number> numbers_;
  std::vector<Identifier> identifiers_;
  Writing writing_;
  bool is_title_ = false;
};

}  // namespace enhanced_gptcache::match
