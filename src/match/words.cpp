#include "match/words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "match/ascii.h"
#include "match/number_words.h"

namespace enhanced_gptcache::match {
namespace {

bool is_vowel(char c) { return std::string_view("aeiouy").find(c) != std::string_view::npos; }
bool ends_with(std::string_view word, std::string_view end) {
  return word.size() >= end.size() && word.substr(word.size() - end.size()) == end;
}

constexpr std::string_view kCurlyApostrophe = "\xe2\x80\x99";

/// Bytes of an apostrophe between letters at `at`; 0: none.
size_t apostrophe_bytes(std::string_view text, size_t at) {
  if (text[at] == '\'') return 1;
  return text.substr(at, kCurlyApostrophe.size()) == kCurlyApostrophe ? kCurlyApostrophe.size() : 0;
}

/// Punctuation outside ASCII (U+2000..U+206F, U+3000..U+303F) parts words.
size_t wide_punctuation_bytes(std::string_view text, size_t at) {
  if (at + 2 >= text.size()) return 0;
  const auto first = static_cast<unsigned char>(text[at]);
  const auto second = static_cast<unsigned char>(text[at + 1]);
  const bool general = first == 0xE2 && (second == 0x80 || second == 0x81);
  const bool cjk = first == 0xE3 && second == 0x80;
  return general || cjk ? 3 : 0;
}

/// "running" -> "runn" -> "run"; doubled l, s and z belong to the word.
std::string_view undouble(std::string_view word) {
  const size_t n = word.size();
  if (n < 3 || word[n - 1] != word[n - 2]) return word;
  const char last = word[n - 1];
  return last == 'l' || last == 's' || last == 'z' || is_vowel(last) ? word : word.substr(0, n - 1);
}

std::string_view strip_ending(std::string_view word, std::string_view ending) {
  if (!ends_with(word, ending)) return word;
  const std::string_view rest = word.substr(0, word.size() - ending.size());
  const bool has_vowel = std::any_of(rest.begin(), rest.end(), is_vowel);
  return rest.size() >= 3 && has_vowel ? undouble(rest) : word;
}

/// The words that stand for n't with an irregular rest.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kIrregularNegations{{
    {"won", "will"},
    {"ca", "can"},
}};

}  // namespace

std::string stem_of(std::string_view word) {
  if (word.size() <= 3) return std::string(word);
  if (ends_with(word, "sses"))
    word.remove_suffix(2);
  else if (ends_with(word, "s") && !ends_with(word, "ss") && !ends_with(word, "us") && !ends_with(word, "is"))
    word.remove_suffix(1);
  const std::string_view whole = word;
  word = strip_ending(word, "ing");
  if (word.size() == whole.size()) word = strip_ending(word, "ed");
  if (word.size() == whole.size() && word.size() >= 6) word = strip_ending(word, "ly");
  std::string stem(word);
  // "studie" (of studies) and "study" meet in "studi"; a silent e goes.
  if (ends_with(stem, "ie")) stem.pop_back();
  if (stem.size() > 3 && stem.back() == 'e') stem.pop_back();
  if (stem.size() > 3 && stem.back() == 'y') stem.back() = 'i';
  return stem;
}

Words::Words(std::string_view text) {
  // Every word is written once and its stem once; a stem is never longer than its word, and a
  // contraction adds at most "will" and "not".
  lowered_.reserve(text.size() * 4 + 16);
  words_.reserve(text.size() / 4 + 1);
  split(text);
  find_numbers();
  identifiers_ = identifiers_of(text);
  writing_ = writing_of(text);
  judge_title();
}

bool Words::has_stem(std::string_view stem) const {
  return std::any_of(words_.begin(), words_.end(), [&](const Word& word) { return word.stem == stem; });
}

void Words::split(std::string_view text) {
  bool sentence_start = true;
  size_t at = 0;
  while (at < text.size()) {
    const size_t wide = wide_punctuation_bytes(text, at);
    if (wide > 0 || !is_word_byte(text[at])) {
      if (text[at] == '.' || text[at] == '?' || text[at] == '!' || text[at] == '\n' || text[at] == ':')
        sentence_start = true;
      at += std::max<size_t>(1, wide);
      continue;
    }
    const size_t begin = at;
    while (at < text.size() && is_word_byte(text[at]) && wide_punctuation_bytes(text, at) == 0) ++at;
    // A decimal point, a version point or a thousands comma between digits belongs to the number.
    while (at + 1 < text.size() && (text[at] == '.' || text[at] == ',') && is_digit(text[at - 1]) &&
           is_digit(text[at + 1])) {
      ++at;
      while (at < text.size() && is_word_byte(text[at])) ++at;
    }
    // "c++", "c#": the sign is the difference.
    while (at < text.size() && at - begin <= 2 && (text[at] == '+' || text[at] == '#')) ++at;
    add_word(text.substr(begin, at - begin), sentence_start);
    sentence_start = false;
    const size_t mark = at < text.size() ? apostrophe_bytes(text, at) : 0;
    if (mark == 0) continue;
    size_t end = at + mark;
    while (end < text.size() && is_word_byte(text[end]) && wide_punctuation_bytes(text, end) == 0) ++end;
    const std::string_view tail = text.substr(at + mark, end - at - mark);
    // Also "is'nt", as people type.
    const bool is_negation = ends_with(words_.back().text, "n") ? tail == "t" || tail == "T" : tail == "nt";
    if (is_negation && words_.back().text.size() > 1) {
      const size_t cut = tail == "nt" ? 0 : 1;
      std::string base(words_.back().text.substr(0, words_.back().text.size() - cut));
      for (const auto& [written, meant] : kIrregularNegations) {
        if (words_.back().text == written || base == written) base = meant;
      }
      Word& verb = words_.back();
      const size_t offset = lowered_.size();
      lowered_ += base;
      verb.text = std::string_view(lowered_).substr(offset, base.size());
      verb.stem = verb.text;
      add_word("not", false);
      at = end;
    } else if (tail.size() <= 2) {
      at = end;  // 's, 're, 've, 'll, 'd, 'm carry nothing the guards look at
    } else {
      at += mark;
    }
  }
}

void Words::add_word(std::string_view written, bool sentence_start) {
  // Room for the longest thing written below; a text of only contractions still fits four times.
  if (lowered_.size() + 2 * written.size() + 8 > lowered_.capacity()) return;
  Word word;
  word.sentence_start = sentence_start;
  word.capitalised = is_upper(written.front());
  size_t uppers = 0;
  size_t lowers = 0;
  const size_t begin = lowered_.size();
  for (const char c : written) {
    uppers += is_upper(c) ? 1 : 0;
    lowers += is_lower(c) ? 1 : 0;
    word.numeric = word.numeric || is_digit(c);
    lowered_ += lower(c);
  }
  word.all_upper = uppers >= 2 && lowers == 0;
  word.text = std::string_view(lowered_).substr(begin, written.size());
  const std::string stem = word.numeric ? std::string() : stem_of(word.text);
  if (word.numeric || stem == word.text) {
    word.stem = word.text;
  } else {
    const size_t offset = lowered_.size();
    lowered_ += stem;
    word.stem = std::string_view(lowered_).substr(offset, stem.size());
  }
  words_.push_back(word);
}

void Words::find_numbers() { numbers_ = numbers_of(words_); }

/// A title capitalises words that no sentence would: the function words inside it.
void Words::judge_title() {
  static constexpr auto kFunctionWords = std::to_array<std::string_view>(
      {"a",  "an", "the", "to", "of", "for", "and",  "or",  "in",  "on",   "with", "is",   "are",
       "do", "be", "at",  "by", "as", "it",  "from", "can", "you", "your", "my",   "what", "how"});
  bool any_lower = false;
  for (const Word& word : words_) {
    const bool upper_only = word.numeric || word.all_upper || (word.capitalised && word.text.size() == 1);
    any_lower = any_lower || !upper_only;
    if (word.sentence_start || !word.capitalised || word.all_upper) continue;
    is_title_ = is_title_ ||
                std::find(kFunctionWords.begin(), kFunctionWords.end(), word.text) != kFunctionWords.end();
  }
  is_title_ = is_title_ || !any_lower;
}

}  // namespace enhanced_gptcache::match
