#include "match/identifiers.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace enhanced_gptcache::match {
namespace {

constexpr size_t kIdentifiersMax = 64;
/// What may stand behind the digits of a quantity or a rank: "10k", "5kg", "3rd", "80s", "4g".
constexpr auto kQuantityEndings = std::to_array<std::string_view>(
    {"k",    "m",   "bn", "s",   "st",  "nd", "rd", "th", "kg",  "g",   "mg",  "lb",
     "lbs",  "oz",  "km", "cm",  "mm",  "ft", "in", "mi", "mph", "kmh", "gb",  "mb",
     "tb",   "kb",  "hz", "ghz", "mhz", "w",  "kw", "v",  "hr",  "hrs", "h",   "min",
     "mins", "sec", "ms", "am",  "pm",  "px", "x",  "yr", "yrs", "yo",  "usd", "inr"});

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_mark_around(char c) {
  return std::string_view("\"'`()[]{}<>,;:!?.*").find(c) != std::string_view::npos;
}

std::string_view stripped(std::string_view token) {
  while (!token.empty() && is_mark_around(token.back())) token.remove_suffix(1);
  while (!token.empty() && is_mark_around(token.front()) && token.front() != '.') token.remove_prefix(1);
  return token;
}

/// Letters and digits in lower case; marks between them go, so that spellings of one thing meet.
std::string folded(std::string_view token) {
  std::string text;
  for (const char c : token) {
    if (is_letter(c) || is_digit(c)) text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

bool has_letter(std::string_view token) { return std::any_of(token.begin(), token.end(), is_letter); }

/// "a.example", "main.py": letters or digits on both sides of a dot, two at least after it.
bool has_inner_dot(std::string_view token) {
  const size_t dot = token.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 2 >= token.size()) return false;
  const auto is_word = [](char c) { return is_letter(c) || is_digit(c); };
  return is_word(token[dot - 1]) && is_letter(token[dot + 1]) && is_word(token[dot + 2]);
}

/// "and/or" and "his/her" are words; "/tmp/a", "src/main.c" and "~/x" are not.
bool is_path(std::string_view token) {
  const auto slashes =
      std::count(token.begin(), token.end(), '/') + std::count(token.begin(), token.end(), '\\');
  if (slashes == 0) return false;
  const bool starts_so = token.front() == '/' || token.front() == '~' || token.front() == '.';
  return starts_so || token.find("//") != std::string_view::npos || slashes >= 3 ||
         token.find('\\') != std::string_view::npos;
}

bool is_flag(std::string_view token) {
  return token.size() >= 2 && token[0] == '-' &&
         (is_letter(token[1]) || (token[1] == '-' && token.size() > 3));
}

/// "useEffect", "onClick": small letters, then a capital that begins a word. Not "McDonald", "iPhone" or a
/// space typed one letter late.
bool is_camel_case(std::string_view token) {
  const auto is_small = [&](size_t i) { return std::islower(static_cast<unsigned char>(token[i])) != 0; };
  if (token.size() < 4 || !is_small(0) || !is_small(1)) return false;
  for (size_t i = 2; i + 1 < token.size(); ++i) {
    if (is_small(i - 1) && std::isupper(static_cast<unsigned char>(token[i])) != 0 && is_small(i + 1))
      return true;
  }
  return false;
}

bool is_strong(std::string_view token) {
  if (!has_letter(token)) return false;
  if (token.find('_') != std::string_view::npos || token.find("::") != std::string_view::npos) return true;
  if (token.find('@') != std::string_view::npos && token.size() >= 3) return true;
  return is_path(token) || is_flag(token) || has_inner_dot(token) || is_camel_case(token);
}

/// Letters and digits mixed otherwise than in "10k", "3rd" or "iphone7": "12a", "AB123X", "E1A".
bool is_mixed(std::string_view token) {
  size_t at = 0;
  while (at < token.size() && is_letter(token[at])) ++at;
  const size_t digits = at;
  while (at < token.size() && is_digit(token[at])) ++at;
  if (at == digits || at == token.size()) return false;  // no digits, or nothing behind them
  const std::string ending = folded(token.substr(at));
  if (ending.empty() || !has_letter(token.substr(at))) return false;
  if (digits > 0) return true;
  return std::find(kQuantityEndings.begin(), kQuantityEndings.end(), ending) == kQuantityEndings.end();
}

/// "appendix B", "gate b"; not the article, not "I". A small letter, and a capital A, only where no article
/// and no slip of the fingers would stand: last.
bool is_lone_letter(std::string_view token, bool is_last) {
  if (token.size() != 1 || !is_letter(token.front())) return false;
  if (token == "I" || token == "i") return false;
  const bool is_capital = std::isupper(static_cast<unsigned char>(token.front())) != 0 && token != "A";
  return is_capital || is_last;
}

}  // namespace

std::vector<Identifier> identifiers_of(std::string_view text) {
  std::vector<Identifier> found;
  size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
    const size_t begin = at;
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) == 0) ++at;
    const std::string_view token = stripped(text.substr(begin, at - begin));
    if (token.empty()) continue;
    if (found.size() >= kIdentifiersMax) {
      found.push_back({folded(text.substr(begin)), true});
      break;
    }
    const bool is_last = text.find_first_not_of(" \t\r\n?!.", at) == std::string_view::npos;
    if (is_strong(token))
      found.push_back({folded(token), true});
    else if (is_mixed(token) || is_lone_letter(token, is_last))
      found.push_back({folded(token), false});
  }
  return found;
}

}  // namespace enhanced_gptcache::match
