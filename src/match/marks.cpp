#include "match/marks.h"

#include <algorithm>
#include <array>

#include "match/ascii.h"

namespace enhanced_gptcache::match {
namespace {

bool is_operator(char c) { return std::string_view("+-*/%=<>!&|^~\\").find(c) != std::string_view::npos; }

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
    for (std::string& open : open_emphasis_) keep_some(marks_, std::move(open));
    read_brackets();
    read_slices();
    read_ranges();
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
    keep_some(marks_, "token " + std::string(token));
    return end;
  }

  /// Notes what the run means; returns where to read on.
  size_t end_of(const Run& run) {
    const size_t end = run.begin + run.text.size();
    const bool opens = !is_word(run.left) && run.left != ')' && run.left != ']';
    if (opens && is_path(run)) {
      const std::string_view token = token_at(text_, path_begin(run));
      keep_some(marks_, "path " + std::string(token));
      return std::max(end, path_begin(run) + token.size());
    }
    if (opens && is_flag(run)) {
      const std::string_view token = token_at(text_, run.begin);
      keep_some(marks_, "flag " + std::string(token));
      return std::max(end, run.begin + token.size());
    }
    if (run.text == "-") {
      if (opens && is_digit(run.right)) keep_some(marks_, "minus");
      // Elsewhere it is a hyphen, a dash or a range; between numbers and spaces it subtracts.
      else if (is_space(run.left) && is_space(run.right) && !run.starts_line && is_between_numbers(run))
        keep_some(marks_, "-");
      return end;
    }
    if (run.text.front() == '*' && read_emphasis(run)) return end;
    if (!is_prose(run)) keep_some(marks_, with_sides(run));
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
      if (counts[c] > 0) keep_some(marks_, std::to_string(counts[c]) + " " + static_cast<char>(c));
    }
    size_t indented = 0;
    for (size_t at = text_.find('\n'); at != std::string_view::npos; at = text_.find('\n', at + 1))
      indented += at + 1 < text_.size() && (text_[at + 1] == ' ' || text_[at + 1] == '\t') ? 1 : 0;
    if (indented > 0) keep_some(marks_, std::to_string(indented) + " indented");
  }

  /// "[1:]" is not "[:1]".
  void read_slices() {
    constexpr size_t kSliceBytesMax = 24;
    for (size_t at = text_.find('['); at != std::string_view::npos; at = text_.find('[', at + 1)) {
      const size_t end = text_.find(']', at);
      if (end == std::string_view::npos) return;
      const std::string_view inside = text_.substr(at + 1, end - at - 1);
      if (inside.size() > kSliceBytesMax || inside.find(':') == std::string_view::npos) continue;
      const bool is_slice = std::all_of(inside.begin(), inside.end(), [](char c) {
        return is_word(c) || c == ':' || c == '-' || c == '+';
      });
      if (is_slice) keep_some(marks_, "slice " + std::string(inside));
    }
  }

  /// "a..b" is not "a...b". Three dots stand between words of prose, too, so that only two are noted.
  void read_ranges() {
    for (size_t at = text_.find(".."); at != std::string_view::npos;) {
      size_t end = at;
      while (end < text_.size() && text_[end] == '.') ++end;
      constexpr size_t kEndBytesMax = 6;
      const std::string_view before = word_before(at);
      const std::string_view after = word_after(end);
      const bool is_range = end - at == 2 && at > 0 && is_word(text_[at - 1]) && end < text_.size() &&
                            is_word(text_[end]) && before.size() <= kEndBytesMax &&
                            after.size() <= kEndBytesMax;
      if (is_range) keep_some(marks_, "range ..");
      at = text_.find("..", end);
    }
  }

  std::string_view text_;
  std::vector<std::string> marks_;
  std::vector<std::string> open_emphasis_;
};

}  // namespace

void keep_some(std::vector<std::string>& list, std::string text) {
  constexpr size_t kPerKindMax = 256;
  if (list.size() < kPerKindMax) list.push_back(std::move(text));
}

std::vector<std::string> marks_of(std::string_view text) { return MarkReader(text).read(); }

}  // namespace enhanced_gptcache::match
