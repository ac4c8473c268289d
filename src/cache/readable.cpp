#include "cache/readable.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "cache/eligibility.h"
#include "embed/unicode_text.h"
#include "match/ascii.h"

namespace enhanced_gptcache::cache {
namespace {

using std::string_view;

enum class Kind : uint8_t {
  kOther,    ///< punctuation, spaces, symbols, emoji
  kLetter,   ///< or digit, of the languages that have lists
  kSymbol,   ///< a letter that is a symbol as long as it stands alone
  kMark,     ///< changes or hides in a word
  kForeign,  ///< a letter of anything else
};

struct Range {
  char32_t first, last;
  Kind kind;
};

/// By code point, from U+0080 on; what is in none of them is a letter of another script. Unicode 15.
constexpr auto kRanges = std::to_array<Range>({
    {0x80, 0x9F, Kind::kMark},        {0xA0, 0xAC, Kind::kOther},       {0xAD, 0xAD, Kind::kMark},
    {0xAE, 0xBF, Kind::kOther},       {0xC0, 0xC4, Kind::kLetter},      {0xC5, 0xC6, Kind::kForeign},
    {0xC7, 0xCF, Kind::kLetter},      {0xD0, 0xD0, Kind::kForeign},     {0xD1, 0xD6, Kind::kLetter},
    {0xD7, 0xD7, Kind::kOther},       {0xD8, 0xD8, Kind::kForeign},     {0xD9, 0xDC, Kind::kLetter},
    {0xDD, 0xDE, Kind::kForeign},     {0xDF, 0xE4, Kind::kLetter},      {0xE5, 0xE6, Kind::kForeign},
    {0xE7, 0xEF, Kind::kLetter},      {0xF0, 0xF0, Kind::kForeign},     {0xF1, 0xF6, Kind::kLetter},
    {0xF7, 0xF7, Kind::kOther},       {0xF8, 0xF8, Kind::kForeign},     {0xF9, 0xFC, Kind::kLetter},
    {0xFD, 0xFE, Kind::kForeign},     {0xFF, 0xFF, Kind::kLetter},      {0x152, 0x153, Kind::kLetter},
    {0x178, 0x178, Kind::kLetter},    {0x300, 0x36F, Kind::kMark},      {0x37E, 0x37E, Kind::kOther},
    {0x391, 0x3A9, Kind::kSymbol},    {0x3B1, 0x3C9, Kind::kSymbol},    {0x1E9E, 0x1E9E, Kind::kLetter},
    {0x2000, 0x200A, Kind::kOther},   {0x200B, 0x200F, Kind::kMark},    {0x2010, 0x2029, Kind::kOther},
    {0x202A, 0x202E, Kind::kMark},    {0x202F, 0x205F, Kind::kOther},   {0x2060, 0x206F, Kind::kMark},
    {0x2070, 0x20CF, Kind::kOther},   {0x20D0, 0x20FF, Kind::kMark},    {0x2100, 0x214F, Kind::kSymbol},
    {0x2150, 0x215F, Kind::kOther},   {0x2190, 0x24B5, Kind::kOther},   {0x24EA, 0x2BFF, Kind::kOther},
    {0x2E00, 0x2E7F, Kind::kOther},   {0x3000, 0x3004, Kind::kOther},   {0x3008, 0x3020, Kind::kOther},
    {0x3030, 0x3030, Kind::kOther},   {0xE000, 0xF8FF, Kind::kMark},    {0xFE00, 0xFE0F, Kind::kMark},
    {0xFE10, 0xFE1F, Kind::kOther},   {0xFE30, 0xFE6F, Kind::kOther},   {0xFEFF, 0xFEFF, Kind::kMark},
    {0xFF01, 0xFF20, Kind::kOther},   {0xFFE0, 0xFFEE, Kind::kOther},   {0xFFF0, 0xFFFF, Kind::kMark},
    {0x1F000, 0x1F10F, Kind::kOther}, {0x1F18E, 0x1FAFF, Kind::kOther}, {0xE0000, 0x10FFFF, Kind::kMark},
});
static_assert(std::is_sorted(kRanges.begin(), kRanges.end(),
                             [](const Range& a, const Range& b) { return a.last < b.first; }));

Kind kind_of(char32_t code) {
  if (code < 0x80) {
    const char c = static_cast<char>(code);
    if (match::is_letter(c) || match::is_digit(c)) return Kind::kLetter;
    return code == 0x7F || (code < 0x20 && !match::is_space(c)) ? Kind::kMark : Kind::kOther;
  }
  const auto* const found = std::lower_bound(kRanges.begin(), kRanges.end(), code,
                                             [](const Range& range, char32_t at) { return range.last < at; });
  return found != kRanges.end() && found->first <= code ? found->kind : Kind::kForeign;
}

/// English function words that mean something elsewhere, and what people of all languages write.
constexpr auto kTellNothing = std::to_array<string_view>(
    {"a",  "am", "at",   "hello", "her",  "hers",   "hey", "hi",    "i",      "me", "no",
     "oh", "ok", "okay", "on",    "over", "please", "so",  "thank", "thanks", "yes"});
static_assert(std::is_sorted(kTellNothing.begin(), kTellNothing.end()));

/// Beside those of is_in_known_language(), which must do without what is English, too.
constexpr auto kMoreOfOthers = std::to_array<string_view>(
    {"aan",  "bij",  "cette", "comment", "cosa", "cuando", "dat",  "dit", "dois", "donde", "dove", "gibt",
     "hay",  "ik",   "moet",  "muss",    "niet", "non",    "onde", "pas", "peux", "posso", "puis", "quanto",
     "soll", "sono", "sont",  "uma",     "un",   "una",    "waar", "wat", "wenn", "wir"});
static_assert(std::is_sorted(kMoreOfOthers.begin(), kMoreOfOthers.end()));

/// What English requests begin with, where they have no other function word.
constexpr auto kMoreOfEnglish = std::to_array<string_view>(
    {"because", "describe", "explain", "find", "give", "guide", "help", "know", "learn", "need", "show",
     "suggest", "teach", "tell", "understand", "want", "without", "write"});
static_assert(std::is_sorted(kMoreOfEnglish.begin(), kMoreOfEnglish.end()));

/// Counts the words whose language is known.
class Languages {
 public:
  void take(char32_t code) {
    // The lists have ASCII only, and nothing as long as this.
    if (size_ < word_.size()) word_[size_] = code < 0x80 ? match::lower(static_cast<char>(code)) : '\x1a';
    ++size_;
    is_number_ = is_number_ && code >= '0' && code <= '9';
  }
  void end_word() {
    if (size_ > 0 && !is_number_) count(size_ <= word_.size() ? string_view(word_.data(), size_) : "");
    size_ = 0;
    is_number_ = true;
  }
  bool is_known() const {
    // A single word may be of any language by accident.
    const size_t known = english_ + (others_ >= 2 ? others_ : 0);
    return words_ < 2 || (known > 0 && known * 8 >= words_);
  }

 private:
  void count(string_view word) {
    const FunctionWord what = function_word(word);
    if (what == FunctionWord::kEnglish && std::binary_search(kTellNothing.begin(), kTellNothing.end(), word))
      return;
    ++words_;
    if (what == FunctionWord::kEnglish ||
        std::binary_search(kMoreOfEnglish.begin(), kMoreOfEnglish.end(), word))
      ++english_;
    if (what == FunctionWord::kOtherListed ||
        std::binary_search(kMoreOfOthers.begin(), kMoreOfOthers.end(), word))
      ++others_;
  }

  std::array<char, 12> word_{};
  size_t size_ = 0, words_ = 0, english_ = 0, others_ = 0;
  bool is_number_ = true;
};

}  // namespace

bool is_readable(string_view text) {
  Languages languages;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  for (Kind before = Kind::kOther; at != end;) {
    const char32_t code = embed::decode_utf8(at, end);
    const Kind kind = kind_of(code);
    const auto is_word = [](Kind one) { return one == Kind::kLetter || one == Kind::kSymbol; };
    if (kind == Kind::kForeign || (kind == Kind::kMark && is_word(before)) ||
        (before == Kind::kMark && is_word(kind)))
      return false;
    const bool is_apart = before == Kind::kSymbol || kind == Kind::kSymbol;
    if (is_apart && is_word(before) && is_word(kind)) return false;
    if (kind == Kind::kLetter)
      languages.take(code);
    else
      languages.end_word();
    before = kind;
  }
  languages.end_word();
  return languages.is_known();
}

size_t letter_bytes(string_view text) {
  if (static_cast<unsigned char>(text[0]) < 0x80)
    return match::is_letter(text[0]) || match::is_digit(text[0]) ? 1 : 0;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const start = at;
  const Kind kind = kind_of(embed::decode_utf8(at, start + text.size()));
  return kind == Kind::kOther || kind == Kind::kMark ? 0 : static_cast<size_t>(at - start);
}

}  // namespace enhanced_gptcache::cache
