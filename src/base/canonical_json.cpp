#include "base/canonical_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace enhanced_gptcache::base {
namespace {

constexpr int kDepthMax = 64;

/// 1 for bytes that end a run of plain string content: the quote, the backslash, control characters.
struct StopTable {
  bool stop[256] = {};
  constexpr StopTable() {
    for (int i = 0; i < 0x20; ++i) stop[i] = true;
    stop[static_cast<int>('"')] = true;
    stop[static_cast<int>('\\')] = true;
  }
};
constexpr StopTable kStops;

/// Length of the run of plain bytes at `p`. Eight bytes at a time: a byte of `word` is special when
/// one of the three "has zero byte" tests (Hacker's Delight 6-1) fires.
size_t plain_run(const char* p, const char* end) {
  const char* start = p;
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  constexpr uint64_t kHigh = 0x8080808080808080ULL;
  while (end - p >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    const uint64_t quote = word ^ (kOnes * '"');
    const uint64_t slash = word ^ (kOnes * '\\');
    const uint64_t hit =
        (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word)) & kHigh;
    if (hit != 0) return static_cast<size_t>(p - start) + static_cast<size_t>(__builtin_ctzll(hit)) / 8;
    p += 8;
  }
  while (p < end && !kStops.stop[static_cast<unsigned char>(*p)]) ++p;
  return static_cast<size_t>(p - start);
}

void append_escaped(std::string& out, unsigned char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out.push_back(kDigits[c >> 4U]);
      out.push_back(kDigits[c & 15U]);
  }
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0U | (code >> 6U)));
    out.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0U | (code >> 12U)));
    out.push_back(static_cast<char>(0x80U | ((code >> 6U) & 0x3FU)));
    out.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
  } else {
    out.push_back(static_cast<char>(0xF0U | (code >> 18U)));
    out.push_back(static_cast<char>(0x80U | ((code >> 12U) & 0x3FU)));
    out.push_back(static_cast<char>(0x80U | ((code >> 6U) & 0x3FU)));
    out.push_back(static_cast<char>(0x80U | (code & 0x3FU)));
  }
}

/// Where one member of an object lies in the output.
struct Member {
  size_t begin;
  size_t key_end;
  size_t end;
};

/// One pass over the text, writing as it reads. Members of an object are put in order when the
/// object ends, by moving their finished text; a document is moved at most kDepthMax times.
class Canonicalizer {
 public:
  explicit Canonicalizer(std::string_view json)
      : begin_(json.data()), p_(begin_), end_(begin_ + json.size()) {
    out_.reserve(json.size() + 8);
  }

  Result<std::string> run() {
    skip_space();
    if (!value(1)) return failure();
    skip_space();
    if (p_ != end_) {
      error_ = "text after the end of the document";
      return failure();
    }
    return std::move(out_);
  }

 private:
  Result<std::string> failure() const {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} at byte {}", error_, p_ - begin_));
  }
  bool refuse(const char* why) {
    error_ = why;
    return false;
  }
  void skip_space() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t')) ++p_;
  }

  bool value(int depth) {
    if (p_ == end_) return refuse("unexpected end of the document");
    switch (*p_) {
      case '{':
        return depth > kDepthMax ? refuse("more than 64 levels of nesting") : object(depth);
      case '[':
        return depth > kDepthMax ? refuse("more than 64 levels of nesting") : array(depth);
      case '"':
        return string();
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return number();
    }
  }

  bool literal(std::string_view word) {
    if (static_cast<size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0)
      return refuse("invalid literal");
    p_ += word.size();
    out_ += word;
    return true;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  bool digits() {
    if (p_ == end_ || !is_digit(*p_)) return refuse("invalid number");
    while (p_ < end_ && is_digit(*p_)) ++p_;
    return true;
  }
  bool number() {
    const char* start = p_;
    if (*p_ == '-') ++p_;
    if (p_ < end_ && *p_ == '0') {
      ++p_;
    } else if (p_ == end_ || !is_digit(*p_)) {
      return refuse(p_ == start ? "unexpected character" : "invalid number");
    } else if (!digits()) {
      return false;
    }
    if (p_ < end_ && *p_ == '.') {
      ++p_;
      if (!digits()) return false;
    }
    if (p_ < end_ && (*p_ == 'e' || *p_ == 'E')) {
      ++p_;
      if (p_ < end_ && (*p_ == '+' || *p_ == '-')) ++p_;
      if (!digits()) return false;
    }
    out_.append(start, static_cast<size_t>(p_ - start));
    return true;
  }

  bool hex4(uint32_t& code) {
    if (end_ - p_ < 4) return refuse("invalid \\u escape");
    code = 0;
    for (int i = 0; i < 4; ++i, ++p_) {
      const char c = *p_;
      uint32_t digit = 0;
      if (is_digit(c))
        digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        digit = static_cast<uint32_t>(c - 'a') + 10;
      else if (c >= 'A' && c <= 'F')
        digit = static_cast<uint32_t>(c - 'A') + 10;
      else
        return refuse("invalid \\u escape");
      code = code * 16 + digit;
    }
    return true;
  }

  bool unicode_escape() {
    uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xDC00 && code <= 0xDFFF) return refuse("a low surrogate without a high one");
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low = 0;
      if (end_ - p_ < 6 || p_[0] != '\\' || p_[1] != 'u') return refuse("a high surrogate without a low one");
      p_ += 2;
      if (!hex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return refuse("a high surrogate without a low one");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    }
    if (code < 0x20 || code == '"' || code == '\\')
      append_escaped(out_, static_cast<unsigned char>(code));
    else
      append_utf8(out_, code);
    return true;
  }

  bool escape() {
    if (p_ == end_) return refuse("unterminated string");
    const char c = *p_++;
    switch (c) {
      case '"':
        out_ += "\\\"";
        return true;
      case '\\':
        out_ += "\\\\";
        return true;
      case '/':
        out_.push_back('/');
        return true;
      case 'b':
      case 'f':
      case 'n':
      case 'r':
      case 't':
        out_.push_back('\\');
        out_.push_back(c);
        return true;
      case 'u':
        return unicode_escape();
      default:
        --p_;
        return refuse("invalid escape");
    }
  }

  bool string() {
    ++p_;
    out_.push_back('"');
    for (;;) {
      const size_t run = plain_run(p_, end_);
      out_.append(p_, run);
      p_ += run;
      if (p_ == end_) return refuse("unterminated string");
      const char c = *p_;
      if (c == '"') {
        ++p_;
        out_.push_back('"');
        return true;
      }
      if (c != '\\') return refuse("a control character inside a string");
      ++p_;
      if (!escape()) return false;
    }
  }

  bool array(int depth) {
    ++p_;
    out_.push_back('[');
    skip_space();
    if (p_ < end_ && *p_ == ']') return close(']');
    for (;;) {
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (p_ == end_) return refuse("unterminated array");
      if (*p_ == ']') return close(']');
      if (*p_ != ',') return refuse("expected , or ] in an array");
      ++p_;
      out_.push_back(',');
    }
  }
  bool close(char c) {
    ++p_;
    out_.push_back(c);
    return true;
  }

  bool object(int depth) {
    ++p_;
    out_.push_back('{');
    const size_t first = members_.size();
    skip_space();
    if (p_ < end_ && *p_ == '}') return close('}');
    for (;;) {
      skip_space();
      if (p_ == end_ || *p_ != '"') return refuse("expected a string as object key");
      Member member{out_.size(), 0, 0};
      if (!string()) return false;
      member.key_end = out_.size();
      skip_space();
      if (p_ == end_ || *p_ != ':') return refuse("expected : after an object key");
      ++p_;
      out_.push_back(':');
      skip_space();
      if (!value(depth + 1)) return false;
      member.end = out_.size();
      members_.push_back(member);
      skip_space();
      if (p_ == end_) return refuse("unterminated object");
      if (*p_ == '}') break;
      if (*p_ != ',') return refuse("expected , or } in an object");
      ++p_;
      out_.push_back(',');
    }
    if (!order_members(first)) return false;
    members_.resize(first);
    return close('}');
  }

  /// Keys are compared as they are written in the output, closing quote left out.
  std::string_view key(const Member& member) const {
    return std::string_view(out_).substr(member.begin + 1, member.key_end - member.begin - 2);
  }
  bool order_members(size_t first) {
    const auto begin = members_.begin() + static_cast<std::ptrdiff_t>(first);
    bool sorted = true;
    for (auto it = begin; sorted && it + 1 < members_.end(); ++it) sorted = key(*it) < key(*(it + 1));
    if (sorted) return true;
    const size_t text_begin = begin->begin;
    std::sort(begin, members_.end(), [this](const Member& a, const Member& b) { return key(a) < key(b); });
    for (auto it = begin; it + 1 < members_.end(); ++it)
      if (key(*it) == key(*(it + 1))) return refuse("a key that occurs twice in one object");
    scratch_.clear();
    for (auto it = begin; it < members_.end(); ++it) {
      if (it != begin) scratch_.push_back(',');
      scratch_.append(out_, it->begin, it->end - it->begin);
    }
    out_.replace(text_begin, std::string::npos, scratch_);
    return true;
  }

  const char* begin_;
  const char* p_;
  const char* end_;
  std::string out_;
  std::string scratch_;
  std::vector<Member> members_;
  const char* error_ = "";
};

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  for (;;) {
    const size_t run = plain_run(p, end);
    out.append(p, run);
    p += run;
    if (p == end) break;
    append_escaped(out, static_cast<unsigned char>(*p++));
  }
  out.push_back('"');
}

std::string json_string(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  append_json_string(out, text);
  return out;
}

Result<std::string> canonical_json(std::string_view json) {
  if (!is_valid_utf8(json)) return fail(ErrorCode::kInvalidArgument, "the document is not valid UTF-8");
  return Canonicalizer(json).run();
}

}  // namespace enhanced_gptcache::base
