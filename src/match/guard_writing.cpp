// Writing: the same words with another operator, sign, flag, path, letter case, quotation, accent or emoji.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "match/ascii.h"
#include "match/common_words.h"
#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

using Texts = std::vector<std::string>;

constexpr auto kLetterWords =
    std::to_array<std::string_view>({"encode", "decode", "hash", "match", "regex", "string", "compare",
                                     "print", "password", "uppercase", "lowercase", "echo"});

/// What the longer list has more than the other, for the message.
std::string difference(const Texts& a, const Texts& b) {
  Texts only;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(only));
  if (only.empty()) std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(only));
  return only.empty() ? std::string() : only.front();
}

bool is_same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

/// "GB" and "Gb", "Co" and "CO", "Hunter2" and "hUnTeR2". One written small throughout is the same word typed
/// in haste.
std::string case_difference(const Texts& a, const Texts& b) {
  for (const std::string& word : a) {
    const bool has_digit = std::any_of(word.begin(), word.end(), is_digit);
    if (word.size() < 2 || (word.size() > 3 && !has_digit)) continue;
    if (std::find(b.begin(), b.end(), word) != b.end()) continue;
    const auto other = std::find_if(b.begin(), b.end(),
                                    [&](const std::string& w) { return is_same_ignoring_case(w, word); });
    // "The" at the start of a sentence and "THE" in the middle of one.
    if (other != b.end() && (has_digit || std::any_of(word.begin() + 1, word.end(), is_upper) ||
                             std::any_of(other->begin() + 1, other->end(), is_upper)))
      return fmt::format("\"{}\" against \"{}\"", word, *other);
  }
  return {};
}

/// "US" and "us", "IT" and "it": in capitals a name, in small letters a word of any sentence.
std::string common_word_difference(const Words& a, const Words& b) {
  for (const Word& word : a.words()) {
    if (!word.all_upper || a.is_title() || word.text.size() > 4 || !is_common_word(word.stem)) continue;
    const auto is_same = [&](const Word& other) { return other.text == word.text; };
    const auto is_small = [&](const Word& other) { return is_same(other) && !other.all_upper; };
    if (std::any_of(b.words().begin(), b.words().end(), is_small) &&
        std::none_of(b.words().begin(), b.words().end(),
                     [&](const Word& w) { return is_same(w) && w.all_upper; }))
      return fmt::format("\"{}\" in capitals on one side only", word.text);
  }
  return {};
}

/// "Polish" and "polish", "Long" and "long", "G" and "g". Who begins a sentence with a capital does not write
/// a name small by accident; who types small letters only may.
std::string minded_case_difference(const Words& a, const Words& b) {
  static constexpr auto kOtherInCapitals = std::to_array<std::string_view>(
      {"polish",  "turkey", "march",  "job",   "lent",   "bath",   "cork",      "orange", "apple", "boolean",
       "integer", "long",   "double", "float", "string", "object", "character", "byte",   "short", "number"});
  if (a.is_title() || b.is_title() || a.size() == 0 || b.size() == 0) return {};
  if (!a[0].capitalised || !b[0].capitalised) return {};
  for (const Word& word : a.words()) {
    const bool is_minded =
        std::find(kOtherInCapitals.begin(), kOtherInCapitals.end(), word.text) != kOtherInCapitals.end();
    if (!word.capitalised || word.sentence_start || !is_minded) continue;
    const auto is_same = [&](const Word& other) { return other.text == word.text && !other.sentence_start; };
    const auto is_large = [&](const Word& other) { return other.text == word.text && other.capitalised; };
    if (std::any_of(b.words().begin(), b.words().end(), is_same) &&
        std::none_of(b.words().begin(), b.words().end(), is_large))
      return fmt::format("\"{}\" with a capital on one side only", word.text);
  }
  for (const std::string& letter : a.writing().lone) {
    const std::string small(1, lower(letter[0]));
    const Texts& others = b.writing().lone;
    if (letter != small && std::binary_search(others.begin(), others.end(), small) &&
        !std::binary_search(others.begin(), others.end(), letter))
      return fmt::format("\"{}\" against \"{}\"", letter, small);
  }
  return {};
}

/// Speaks of text as a program sees it.
bool minds_letters(const Words& words) {
  static const auto kStems = [] {
    std::array<std::string, 12> stems;
    std::transform(kLetterWords.begin(), kLetterWords.end(), stems.begin(), stem_of);
    return stems;
  }();
  return std::any_of(kStems.begin(), kStems.end(),
                     [&](const std::string& stem) { return words.has_stem(stem); });
}

/// Words in quotes; case counts beside operators ("'Foo' == 'foo'") and where letters are the subject.
std::string quoted_difference(const Words& query, const Words& candidate) {
  const Writing& a = query.writing();
  const Writing& b = candidate.writing();
  if (a.quoted.empty() || b.quoted.empty()) return {};
  const bool is_code =
      (!a.marks.empty() && !b.marks.empty()) || (minds_letters(query) && minds_letters(candidate));
  const bool is_same = std::equal(a.quoted.begin(), a.quoted.end(), b.quoted.begin(), b.quoted.end(),
                                  [&](const std::string& x, const std::string& y) {
                                    return is_code ? x == y : is_same_ignoring_case(x, y);
                                  });
  return is_same ? std::string() : "other words in quotes";
}

/// "año" where the other text has "ano", or letters of two scripts in one word.
std::string accent_difference(const Words& a, const Words& b) {
  const Texts& others = b.writing().accented;
  for (const std::string& word : a.writing().accented) {
    if (std::binary_search(others.begin(), others.end(), word)) continue;
    const std::string plain = without_accents(word);
    const auto is_plain = [&](std::string_view other) { return without_accents(other) == plain; };
    const bool is_mixed =
        plain.size() != static_cast<size_t>(std::count_if(plain.begin(), plain.end(), [](char c) {
          return (static_cast<unsigned char>(c) & 0x80U) == 0;
        }));
    const bool has_plain = std::any_of(others.begin(), others.end(), is_plain) ||
                           std::any_of(b.words().begin(), b.words().end(),
                                       [&](const Word& other) { return is_plain(other.text); });
    if (has_plain || is_mixed) return fmt::format("\"{}\" is not written so on the other side", word);
  }
  return {};
}

}  // namespace

void append_writing_anchors(const Words& words, std::vector<std::string>& anchors) {
  const Writing& writing = words.writing();
  for (const std::string& mark : writing.marks) anchors.push_back(fmt::format("mark:{}", mark));
  for (const std::string& emoji : writing.emoji) anchors.push_back(fmt::format("emoji:{}", emoji));
  for (const std::string& word : writing.accented) anchors.push_back(fmt::format("accented:{}", word));
  for (const std::string& word : writing.foreign) anchors.push_back(fmt::format("foreign:{}", word));
  for (const std::string& word : writing.capitals) {
    if (word.size() >= 2 && word.size() <= 3 && std::any_of(word.begin() + 1, word.end(), is_upper))
      anchors.push_back(fmt::format("written:{}", word));
  }
}

std::string writing_refusal(const Words& query, const Words& candidate) {
  const Writing& a = query.writing();
  const Writing& b = candidate.writing();
  if (a.marks != b.marks) return fmt::format("\"{}\" on one side only", difference(a.marks, b.marks));
  if (std::string found = case_difference(a.capitals, b.capitals); !found.empty()) return found;
  if (std::string found = case_difference(b.capitals, a.capitals); !found.empty()) return found;
  for (const auto& difference_of : {common_word_difference, minded_case_difference}) {
    if (std::string found = difference_of(query, candidate); !found.empty()) return found;
    if (std::string found = difference_of(candidate, query); !found.empty()) return found;
  }
  if (std::string found = quoted_difference(query, candidate); !found.empty()) return found;
  if (a.foreign != b.foreign) return "words of another script differ";
  if (!a.emoji.empty() && !b.emoji.empty() && a.emoji != b.emoji)
    return fmt::format("{} on one side only", difference(a.emoji, b.emoji));
  if (std::string found = accent_difference(query, candidate); !found.empty()) return found;
  return accent_difference(candidate, query);
}

}  // namespace enhanced_gptcache::match
