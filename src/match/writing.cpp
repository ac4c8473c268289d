#include "match/writing.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

#include "match/ascii.h"
#include "match/marks.h"

namespace enhanced_gptcache::match {
namespace {

constexpr size_t kBytesMax = 4096;
constexpr size_t kCapitalsBytesMax = 12;

/// A quotation mark and what closes it.
struct Quotes {
  std::string_view open;
  std::string_view close;
};
constexpr auto kQuotes = std::to_array<Quotes>({{"\"", "\""},
                                                {"'", "'"},
                                                {"`", "`"},
                                                {"\xe2\x80\x9c", "\xe2\x80\x9d"},
                                                {"\xe2\x80\x98", "\xe2\x80\x99"},
                                                {"\xc2\xab", "\xc2\xbb"}});

std::string trimmed(std::string_view text) {
  while (!text.empty() &&
         (is_space(text.back()) || std::string_view(".,?'\"").find(text.back()) != std::string_view::npos))
    text.remove_suffix(1);
  while (!text.empty() && (is_space(text.front()) || text.front() == '\'')) text.remove_prefix(1);
  return std::string(text);
}

std::vector<std::string> quoted_of(std::string_view text) {
  std::vector<std::string> found;
  // Quotes around the whole say nothing.
  if (text.size() > 2 && text.front() == text.back() && (text.front() == '"' || text.front() == '\''))
    text = text.substr(1, text.size() - 2);
  for (size_t at = 0; at < text.size();) {
    const auto quotes = std::find_if(kQuotes.begin(), kQuotes.end(),
                                     [&](const Quotes& q) { return text.substr(at).starts_with(q.open); });
    // An apostrophe inside or behind a word opens nothing.
    if (quotes == kQuotes.end() || (at > 0 && is_word(text[at - 1]))) {
      ++at;
      continue;
    }
    const size_t begin = at + quotes->open.size();
    size_t end = text.find(quotes->close, begin);
    while (end != std::string_view::npos && end + quotes->close.size() < text.size() &&
           is_word(text[end + quotes->close.size()]) && quotes->close.size() == 1)
      end = text.find(quotes->close, end + 1);
    if (end == std::string_view::npos) {
      at = begin;
      continue;
    }
    if (end > begin) keep_some(found, trimmed(text.substr(begin, end - begin)));
    at = end + quotes->close.size();
  }
  return found;
}

std::vector<std::string> capitals_of(std::string_view text) {
  std::vector<std::string> found;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    bool has_capital = false;
    for (; at < text.size() && (is_letter(text[at]) || is_digit(text[at])); ++at)
      has_capital = has_capital || is_upper(text[at]);
    if (has_capital && at - begin <= kCapitalsBytesMax)
      keep_some(found, std::string(text.substr(begin, at - begin)));
    if (at == begin) ++at;
  }
  return found;
}

std::vector<std::string> lone_of(std::string_view text) {
  std::vector<std::string> found;
  const auto is_free = [&](size_t at) { return at >= text.size() || is_space(text[at]); };
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_letter(text[at]) || (at > 0 && !is_space(text[at - 1]))) continue;
    const bool is_last =
        at + 1 < text.size() && std::string_view("?.!,").find(text[at + 1]) < 4 && is_free(at + 2);
    if (!is_free(at + 1) && !is_last) continue;
    if (std::string_view("aicr").find(lower(text[at])) == std::string_view::npos)
      keep_some(found, std::string(1, text[at]));
  }
  return found;
}

bool is_emoji(utf8proc_int32_t c) {
  return (c >= 0x1F000 && c <= 0x1FAFF) || (c >= 0x2600 && c <= 0x27BF) || (c >= 0x2B00 && c <= 0x2BFF);
}
bool is_latin(utf8proc_int32_t c) { return c < 0x250 || (c >= 0x1E00 && c < 0x1F00); }
bool is_any_letter(utf8proc_int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME;
}

void append(std::string& text, utf8proc_int32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t count = utf8proc_encode_char(c, bytes.data());
  text.append(bytes.begin(), bytes.begin() + count);
}

/// One code point at `at`, which moves on; a byte that is no UTF-8 stands for itself.
utf8proc_int32_t next_char(std::string_view text, size_t& at) {
  utf8proc_int32_t c = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
  const utf8proc_ssize_t taken = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &c);
  at += taken > 0 ? static_cast<size_t>(taken) : 1;
  return taken > 0 ? c : 0xFFFD;
}

/// Words with letters outside ASCII, foreign runs and emoji.
void read_wide(std::string_view text, Writing& writing) {
  std::string word;
  bool ascii = false, latin = false, other = false, any_latin = false;
  const auto finish = [&] {
    if ((latin || other) && (ascii || latin)) keep_some(writing.accented, word);
    if (other && !ascii && !latin) keep_some(writing.foreign, word);
    any_latin = any_latin || ascii;
    word.clear();
    ascii = latin = other = false;
  };
  for (size_t at = 0; at < text.size();) {
    const utf8proc_int32_t c = next_char(text, at);
    if (is_emoji(c)) {
      std::string one;
      append(one, c);
      keep_some(writing.emoji, std::move(one));
    }
    if (c < 128 ? is_letter(static_cast<char>(c)) : is_any_letter(c)) {
      append(word, utf8proc_tolower(c));
      ascii = ascii || c < 128;
      latin = latin || (c >= 128 && is_latin(c));
      other = other || !is_latin(c);
    } else if (!word.empty()) {
      finish();
    }
  }
  if (!word.empty()) finish();
  if (!any_latin) writing.foreign.clear();
}

}  // namespace

Writing writing_of(std::string_view text) {
  text = text.substr(0, kBytesMax);
  Writing writing;
  writing.marks = marks_of(text);
  writing.quoted = quoted_of(text);
  writing.lone = lone_of(text);
  // Without small letters capitals say nothing.
  if (std::any_of(text.begin(), text.end(), [](char c) { return is_letter(c) && !is_upper(c); }))
    writing.capitals = capitals_of(text);
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; }))
    read_wide(text, writing);
  for (auto* list : {&writing.marks, &writing.capitals, &writing.lone, &writing.quoted, &writing.accented,
                     &writing.foreign, &writing.emoji})
    std::sort(list->begin(), list->end());
  // Said twice it is the same operator.
  writing.marks.erase(std::unique(writing.marks.begin(), writing.marks.end()), writing.marks.end());
  return writing;
}

std::string without_accents(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    const utf8proc_int32_t c = next_char(text, at);
    std::array<utf8proc_int32_t, 8> parts{};
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        c, parts.data(), static_cast<utf8proc_ssize_t>(parts.size()), UTF8PROC_DECOMPOSE, nullptr);
    append(plain, utf8proc_tolower(count > 0 ? parts.front() : c));
  }
  return plain;
}

}  // namespace enhanced_gptcache::match
