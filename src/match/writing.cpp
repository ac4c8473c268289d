#include "match/writing.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

#include "match/ascii.h"

namespace enhanced_gptcache::match {
namespace {

constexpr size_t kBytesMax = 4096;
constexpr size_t kPerKindMax = 256;
constexpr size_t kCapitalsBytesMax = 12;

bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || (static_cast<unsigned char>(c) & 0x80U) != 0;
}
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_operator(char c) { return std::string_view("+-*/%=<>!&|^~\\").find(c) != std::string_view::npos; }

void keep(std::vector<std::string>& list, std::string text) {
  if (list.size() < kPerKindMax) list.push_back(std::move(text));
}

/// A run of operator characters with what stands beside it; a space stands for both ends of the text.
struct Run {
  std::string_view text;
  size_t begin;
  char left;
  char right;
  bool starts_line;
};

/// The token, up to the next space, that begins at `at`, without punctuation that ends a sentence.
std::string_view token_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && !is_space(text[end])) ++end;
  while (end > at && std::string_view("\"'`.,;:?!)]}").find(text[end - 1]) != std::string_view::npos) --end;
  return text.substr(at, end - at);
}

class MarkReader {
 public:
  explicit MarkReader(std::string_view text) : text_(text) {}

  std::vector<std::string> read() {
    for (size_t at = 0; at < text_.size();) {
      if (const size_t end = end_of_bare_token(at); end > at) {
        at = end;
        continue;
      }
      if (!is_operator(text_[at])) {
        ++at;
        continue;
      }
      size_t end = at;
      while (end < text_.size() && is_operator(text_[end])) ++end;
      at = end_of(Run{text_.substr(at, end - at), at, at > 0 ? text_[at - 1] : ' ',
                      end < text_.size() ? text_[end] : ' ', starts_line(at)});
    }
    for (std::string& open : open_emphasis_) keep(marks_, std::move(open));
    read_brackets();
    return std::move(marks_);
  }

 private:
  bool starts_line(size_t at) const {
    while (at > 0 && (text_[at - 1] == ' ' || text_[at - 1] == '\t')) --at;
    return at == 0 || text_[at - 1] == '\n';
  }

  /// "$?", "?.", "##" between spaces: names of operators. Not "..." and not what ends a question.
  size_t end_of_bare_token(size_t at) {
    if (at > 0 && !is_space(text_[at - 1])) return at;
    size_t end = at;
    while (end < text_.size() && std::string_view("$?#.@:!").find(text_[end]) != std::string_view::npos)
      ++end;
    if (end == at || (end < text_.size() && !is_space(text_[end])) || starts_line(at)) return at;
    const std::string_view token = text_.substr(at, end - at);
    const bool is_prose = token.find_first_not_of('.') == std::string_view::npos || token == "?" ||
                          token == "!" || token == ":" ||
                          text_.find_first_not_of(" \t\r\n", end) == std::string_view::npos;
    if (is_prose) return at;
    keep(marks_, "token " + std::string(token));
    return end;
  }

  /// Notes what the run means; returns where to read on.
  size_t end_of(const Run& run) {
    const size_t end = run.begin + run.text.size();
    const bool opens = !is_word(run.left) && run.left != ')' && run.left != ']';
    if (opens && is_path(run)) {
      const std::string_view token = token_at(text_, path_begin(run));
      keep(marks_, "path " + std::string(token));
      return std::max(end, path_begin(run) + token.size());
    }
    if (opens && is_flag(run)) {
      const std::string_view token = token_at(text_, run.begin);
      keep(marks_, "flag " + std::string(token));
      return std::max(end, run.begin + token.size());
    }
    if (run.text == "-") {
      if (opens && is_digit(run.right)) keep(marks_, "minus");
      // Elsewhere it is a hyphen, a dash or a range; between numbers and spaces it subtracts.
      else if (is_space(run.left) && is_space(run.right) && !run.starts_line && is_between_numbers(run))
        keep(marks_, "-");
      return end;
    }
    if (run.text.front() == '*' && read_emphasis(run)) return end;
    if (!is_prose(run)) keep(marks_, with_sides(run));
    return end;
  }

  static bool is_path(const Run& run) {
    if (run.text == "/") return is_letter(run.right) || run.right == '.';
    if (run.text == "*") return run.right == '.' && !is_word(run.left);
    if (run.text == "~/") return true;
    // "https://": the token began before the run.
    return run.text == "//" && run.left == ':';
  }
  /// "-v", "-rf", "--all"; "13 -credit" is a slip.
  bool is_flag(const Run& run) const {
    if (run.text.front() != '-' || run.text.size() > 2 || !is_letter(run.right)) return false;
    return run.text == "--" || (run.text == "-" && token_at(text_, run.begin).size() <= 4);
  }
  size_t path_begin(const Run& run) const {
    size_t begin = run.begin;
    while (begin > 0 && !is_space(text_[begin - 1]) &&
           std::string_view("\"'`(<").find(text_[begin - 1]) == std::string_view::npos)
      --begin;
    return begin;
  }

  /// The word before and after a run, spaces skipped; what is not a word is empty.
  std::string_view word_before(size_t at) const {
    while (at > 0 && text_[at - 1] == ' ') --at;
    size_t begin = at;
    while (begin > 0 && is_word(text_[begin - 1])) --begin;
    return text_.substr(begin, at - begin);
  }
  std::string_view word_after(size_t at) const {
    while (at < text_.size() && text_[at] == ' ') ++at;
    size_t end = at;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at, end - at);
  }
  bool is_between_numbers(const Run& run) const {
    const std::string_view before = word_before(run.begin);
    const std::string_view after = word_after(run.begin + run.text.size());
    return !before.empty() && !after.empty() && is_digit(before.back()) && is_digit(after.front());
  }

  /// "**so**" and list items say nothing; a star that opens and never closes, or stands between words, does.
  bool read_emphasis(const Run& run) {
    if (run.starts_line && is_space(run.right)) return true;
    const bool left = is_word(run.left);
    const bool right = is_word(run.right);
    if (run.text.find_first_not_of('*') != std::string_view::npos || left == right) return false;
    if (right) {
      open_emphasis_.emplace_back(run.text);
      return true;
    }
    const auto open = std::find(open_emphasis_.begin(), open_emphasis_.end(), run.text);
    if (open == open_emphasis_.end()) return false;
    open_emphasis_.erase(open);
    return true;
  }

  /// Marks that prose uses: "done!", "and/or", "5+", "50%", "Q&A", "~5", "> quoted", "1+1=?".
  bool is_prose(const Run& run) const {
    const std::string_view t = run.text;
    const bool left = is_word(run.left);
    const bool right = is_word(run.right);
    if (t == "!" && is_digit(run.left) && run.begin + 1 < text_.size() && is_space(run.right))
      return text_.find_first_not_of(" \t\r\n", run.begin + 1) == std::string_view::npos;
    if (t.find_first_not_of('!') == std::string_view::npos) return left || !(right || run.right == '(');
    if (t.find_first_not_of('-') == std::string_view::npos) return t.size() != 2 || left == right;
    if (t == "/") return !(is_between_numbers(run) && is_space(run.left));
    if (t == "&") return true;
    if (t == "%") return is_digit(run.left) || (is_space(run.left) && !right && !is_space(run.right));
    if (t == "~") return is_digit(run.right) || is_space(run.right);
    if (t == "+") return is_digit(run.left) && !right && run.right != '(' && !is_between_numbers(run);
    if (run.starts_line && t.find_first_not_of("=>") == std::string_view::npos) return true;
    return t == "=" && run.right == '?';
  }

  /// "i++" is not "++i", "\d" not "\D", "x < 4" not "x < 1".
  std::string with_sides(const Run& run) const {
    std::string mark(run.text);
    if (run.text.back() == '\\' && is_letter(run.right)) return mark + run.right;
    if (run.text == "++" || run.text == "--") return mark + (is_word(run.left) ? " after" : " before");
    if (run.text.find_first_not_of("<>=+*/%^") != std::string_view::npos) return mark;
    const std::string_view before = word_before(run.begin);
    const std::string_view after = word_after(run.begin + run.text.size());
    if (before.empty() || after.empty() || before.size() > 8 || after.size() > 8) return mark;
    return std::string(before) + mark + std::string(after);
  }

  /// In code and formulas every bracket and comma counts, and how lines are indented.
  void read_brackets() {
    const bool is_formula = std::any_of(marks_.begin(), marks_.end(), [](const std::string& mark) {
      return mark.find(' ') == std::string::npos;
    });
    if (!is_formula && text_.find_first_of("{}[];") == std::string_view::npos &&
        text_.find("\n ") == std::string_view::npos && text_.find("\n\t") == std::string_view::npos)
      return;
    std::array<size_t, 128> counts{};
    for (const char c : text_) {
      if (std::string_view(is_formula ? "{}[]();" : "{}[]();,:").find(c) != std::string_view::npos)
        ++counts[static_cast<size_t>(c)];
    }
    for (size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] > 0) keep(marks_, std::to_string(counts[c]) + " " + static_cast<char>(c));
    }
    size_t indented = 0;
    for (size_t at = text_.find('\n'); at != std::string_view::npos; at = text_.find('\n', at + 1))
      indented += at + 1 < text_.size() && (text_[at + 1] == ' ' || text_[at + 1] == '\t') ? 1 : 0;
    if (indented > 0) keep(marks_, std::to_string(indented) + " indented");
  }

  std::string_view text_;
  std::vector<std::string> marks_;
  std::vector<std::string> open_emphasis_;
};

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
    if (end > begin) keep(found, trimmed(text.substr(begin, end - begin)));
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
      keep(found, std::string(text.substr(begin, at - begin)));
    if (at == begin) ++at;
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
    if ((latin || other) && (ascii || latin)) keep(writing.accented, word);
    if (other && !ascii && !latin) keep(writing.foreign, word);
    any_latin = any_latin || ascii;
    word.clear();
    ascii = latin = other = false;
  };
  for (size_t at = 0; at < text.size();) {
    const utf8proc_int32_t c = next_char(text, at);
    if (is_emoji(c)) {
      std::string one;
      append(one, c);
      keep(writing.emoji, std::move(one));
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
  writing.marks = MarkReader(text).read();
  writing.quoted = quoted_of(text);
  // Without small letters capitals say nothing.
  if (std::any_of(text.begin(), text.end(), [](char c) { return is_letter(c) && !is_upper(c); }))
    writing.capitals = capitals_of(text);
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; }))
    read_wide(text, writing);
  for (auto* list : {&writing.marks, &writing.capitals, &writing.quoted, &writing.accented, &writing.foreign,
                     &writing.emoji})
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
