#include "match/number_words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "match/ascii.h"

namespace enhanced_gptcache::match {
namespace {

struct Spelled {
  int64_t value;
  bool soft = false;
};

const std::unordered_map<std::string_view, Spelled>& spelled_numbers() {
  static const std::unordered_map<std::string_view, Spelled> table{
      {"zero", {0}},
      {"one", {1, true}},
      {"two", {2}},
      {"three", {3}},
      {"four", {4}},
      {"five", {5}},
      {"six", {6}},
      {"seven", {7}},
      {"eight", {8}},
      {"nine", {9}},
      {"ten", {10}},
      {"eleven", {11}},
      {"twelve", {12}},
      {"thirteen", {13}},
      {"fourteen", {14}},
      {"fifteen", {15}},
      {"sixteen", {16}},
      {"seventeen", {17}},
      {"eighteen", {18}},
      {"nineteen", {19}},
      {"twenty", {20}},
      {"thirty", {30}},
      {"forty", {40}},
      {"fifty", {50}},
      {"sixty", {60}},
      {"seventy", {70}},
      {"eighty", {80}},
      {"ninety", {90}},
      {"first", {1, true}},
      {"second", {2, true}},
      {"third", {3}},
      {"fourth", {4}},
      {"fifth", {5}},
      {"sixth", {6}},
      {"seventh", {7}},
      {"eighth", {8}},
      {"ninth", {9}},
      {"tenth", {10}},
      {"once", {1, true}},
      {"twice", {2, true}},
      {"single", {1, true}},
      {"double", {2, true}},
      {"both", {2, true}},
      {"dozen", {12, true}},
      {"half", {50, true}},
      {"hundreds", {100, true}},
      {"thousands", {1000, true}},
  };
  return table;
}

/// Words that multiply the number before them, or stand alone.
const std::unordered_map<std::string_view, int64_t>& multipliers() {
  static const std::unordered_map<std::string_view, int64_t> table{
      {"hundred", 100},
      {"thousand", 1'000},
      {"k", 1'000},
      {"lakh", 100'000},
      {"lakhs", 100'000},
      {"lac", 100'000},
      {"million", 1'000'000},
      {"millions", 1'000'000},
      {"mn", 1'000'000},
      {"crore", 10'000'000},
      {"crores", 10'000'000},
      {"billion", 1'000'000'000},
      {"billions", 1'000'000'000},
      {"bn", 1'000'000'000},
      {"trillion", 1'000'000'000'000},
  };
  return table;
}

const std::unordered_map<std::string_view, std::string_view>& roman_numbers() {
  // Without I, V, X, C, D, L, M: single letters name too many other things.
  static const std::unordered_map<std::string_view, std::string_view> table{
      {"ii", "2"},   {"iii", "3"},   {"iv", "4"},     {"vi", "6"},    {"vii", "7"},  {"viii", "8"},
      {"ix", "9"},   {"xi", "11"},   {"xii", "12"},   {"xiii", "13"}, {"xiv", "14"}, {"xv", "15"},
      {"xvi", "16"}, {"xvii", "17"}, {"xviii", "18"}, {"xix", "19"},  {"xx", "20"},
  };
  return table;
}

std::string without_leading_zeros(std::string_view digits) {
  const size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos ? "0" : std::string(digits.substr(first));
}

/// "5.0" and "5.50" as "5" and "5.5", but only one point: "1.10.0" is a version and stays.
std::string in_one_spelling(std::string_view number) {
  const size_t point = number.find('.');
  if (point == std::string_view::npos) return without_leading_zeros(number);
  if (number.find('.', point + 1) != std::string_view::npos) return std::string(number);
  std::string whole = without_leading_zeros(number.substr(0, point));
  return whole + std::string(number.substr(point));
}

/// value * factor without loss where it fits, else both parts side by side.
std::string multiplied(const std::string& value, int64_t factor) {
  const size_t point = value.find('.');
  const size_t decimals = point == std::string::npos ? 0 : value.size() - point - 1;
  std::string digits = value;
  if (point != std::string::npos) digits.erase(point, 1);
  for (size_t i = 0; i < decimals && factor % 10 == 0; ++i) factor /= 10;
  int64_t parsed = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
  const bool whole = error == std::errc() && end == digits.data() + digits.size() && decimals <= 2;
  int64_t product = 0;
  if (!whole || __builtin_mul_overflow(parsed, factor, &product)) return value + "*" + std::to_string(factor);
  return std::to_string(product);
}

bool is_thousands_comma(std::string_view word, size_t at) {
  if (at + 3 >= word.size()) return false;
  for (size_t i = at + 1; i <= at + 3; ++i) {
    if (!is_digit(word[i])) return false;
  }
  return at + 4 == word.size() || !is_digit(word[at + 4]) || word[at + 4] == ',';
}

/// Collects the digit runs of one word. Indian grouping ("1,00,000") is read as thousands are when the
/// last group has three digits.
void add_digit_runs(std::string_view word, uint32_t index, std::vector<Number>& numbers) {
  size_t at = 0;
  while (at < word.size()) {
    if (!is_digit(word[at])) {
      ++at;
      continue;
    }
    std::string run;
    while (at < word.size()) {
      if (is_digit(word[at]) || (word[at] == '.' && at + 1 < word.size() && is_digit(word[at + 1])))
        run += word[at];
      else if (word[at] != ',' || !(is_thousands_comma(word, at) || word.find(',', at + 1) == at + 3))
        break;
      ++at;
    }
    numbers.push_back({in_one_spelling(run), index, false});
    const std::string_view rest = word.substr(at);
    if (rest == "k" || rest == "bn" || rest == "mn")
      numbers.back().value = multiplied(numbers.back().value, multipliers().at(rest));
  }
}

/// The reader's place: the number that the next word may still continue.
class NumberScan {
 public:
  explicit NumberScan(const std::vector<Word>& words) : words_(words) {}

  std::vector<Number> run() && {
    for (uint32_t i = 0; i < words_.size(); ++i) {
      if (!read(i)) open_ = std::nullopt;
    }
    return std::move(numbers_);
  }

 private:
  /// Whether word i is part of a number.
  bool read(uint32_t i) {
    const Word& word = words_[i];
    if (word.numeric) {
      add_digit_runs(word.text, i, numbers_);
      // A digit-only word may be followed by "million".
      const bool plain = is_digit(word.text.front()) && (is_digit(word.text.back()));
      open_ = plain ? std::optional<size_t>(numbers_.size() - 1) : std::nullopt;
      tens_ = std::nullopt;
      return true;
    }
    if (const auto found = multipliers().find(word.text); found != multipliers().end())
      return multiply(i, found->second);
    if (const auto found = spelled_numbers().find(word.text); found != spelled_numbers().end())
      return spell(i, found->second);
    if (word.all_upper) {
      if (const auto found = roman_numbers().find(word.text); found != roman_numbers().end()) {
        numbers_.push_back({std::string(found->second), i, false});
        open_ = std::nullopt;
        return true;
      }
    }
    return false;
  }

  bool multiply(uint32_t i, int64_t factor) {
    if (open_) {
      Number& number = numbers_[*open_];
      number.value = multiplied(number.value, factor);
      number.soft = false;
      return true;
    }
    if (words_[i].text.size() <= 2) return false;  // "k", "mn", "bn" alone are no numbers
    numbers_.push_back({std::to_string(factor), i, false});
    open_ = numbers_.size() - 1;
    return true;
  }

  bool spell(uint32_t i, const Spelled& spelled) {
    // "twenty five": the unit joins the tens right before it.
    if (open_ && tens_ && spelled.value > 0 && spelled.value < 10) {
      numbers_[*open_].value = std::to_string(*tens_ + spelled.value);
      tens_ = std::nullopt;
      return true;
    }
    numbers_.push_back({std::to_string(spelled.value), i, spelled.soft});
    open_ = numbers_.size() - 1;
    const bool is_tens = spelled.value >= 20 && spelled.value < 100 && !spelled.soft;
    tens_ = is_tens ? std::optional<int64_t>(spelled.value) : std::nullopt;
    return true;
  }

  const std::vector<Word>& words_;
  std::vector<Number> numbers_;
  std::optional<size_t> open_;
  std::optional<int64_t> tens_;
};

}  // namespace

std::vector<Number> numbers_of(const std::vector<Word>& words) { return NumberScan(words).run(); }

}  // namespace enhanced_gptcache::match
