#include "proxy/json_view.h"

#include <algorithm>
#include <charconv>

namespace enhanced_gptcache::proxy {
namespace {

size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
    ++at;
  return at;
}

/// `at` is the opening quote; one past the closing one.
size_t skip_string(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    at = text.find_first_of("\"\\", at);
    if (at == std::string_view::npos) return text.size();
    if (text[at] == '"') return at + 1;
    ++at;
  }
  return text.size();
}

size_t skip_value(std::string_view text, size_t at) {
  if (at >= text.size()) return at;
  if (text[at] == '"') return skip_string(text, at);
  if (text[at] != '{' && text[at] != '[') {
    const size_t end = text.find_first_of(",]} \n\r\t", at);
    return end == std::string_view::npos ? text.size() : end;
  }
  size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    ++at;
    if (c == '{' || c == '[')
      ++depth;
    else if ((c == '}' || c == ']') && --depth == 0)
      break;
  }
  return at;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&out](uint32_t bits) { out.push_back(static_cast<char>(0x80U | (bits & 0x3FU))); };
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0U | (code >> 6U)));
    tail(code);
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0U | (code >> 12U)));
    tail(code >> 6U);
    tail(code);
  } else {
    out.push_back(static_cast<char>(0xF0U | (code >> 18U)));
    tail(code >> 12U);
    tail(code >> 6U);
    tail(code);
  }
}

uint32_t hex4(std::string_view digits) {
  uint32_t code = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  return code;
}

/// `at` is after "\u"; returns one past the escape (both halves of a surrogate pair).
size_t append_unicode(std::string& out, std::string_view raw, size_t at) {
  uint32_t code = hex4(raw.substr(at, 4));
  at += 4;
  if (code >= 0xD800 && code < 0xDC00 && raw.substr(at, 2) == "\\u") {
    code = 0x10000 + ((code - 0xD800) << 10U) + (hex4(raw.substr(at + 2, 4)) - 0xDC00);
    at += 6;
  }
  append_utf8(out, code);
  return at;
}

std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (size_t at = 0; at < raw.size();) {
    const size_t slash = raw.find('\\', at);
    out.append(raw.substr(at, slash - at));
    if (slash == std::string_view::npos || slash + 1 >= raw.size()) break;
    const char c = raw[slash + 1];
    at = slash + 2;
    switch (c) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u':
        at = append_unicode(out, raw, at);
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

}  // namespace

JsonKind json_kind(std::string_view value) {
  const size_t at = skip_space(value, 0);
  if (at >= value.size()) return JsonKind::kNull;
  switch (value[at]) {
    case '{':
      return JsonKind::kObject;
    case '[':
      return JsonKind::kArray;
    case '"':
      return JsonKind::kString;
    case 't':
      return JsonKind::kTrue;
    case 'f':
      return JsonKind::kFalse;
    case 'n':
      return JsonKind::kNull;
    default:
      return JsonKind::kNumber;
  }
}

MemberCursor::MemberCursor(std::string_view object) : text_(object), at_(skip_space(object, 0)) {
  if (at_ < text_.size() && text_[at_] == '{')
    ++at_;
  else
    at_ = text_.size();
}

bool MemberCursor::next() {
  at_ = skip_space(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') at_ = skip_space(text_, at_ + 1);
  if (at_ >= text_.size() || text_[at_] != '"') return false;
  begin_ = at_;
  at_ = skip_string(text_, at_);
  key_ = text_.substr(begin_ + 1, at_ - begin_ - 2);
  at_ = skip_space(text_, skip_space(text_, at_) + 1);
  const size_t value_begin = at_;
  at_ = end_ = skip_value(text_, at_);
  value_ = text_.substr(value_begin, end_ - value_begin);
  return true;
}

bool MemberCursor::key_is(std::string_view name) const {
  if (key_ == name) return true;
  return key_.find('\\') != std::string_view::npos && unescape(key_) == name;
}

ElementCursor::ElementCursor(std::string_view array) : text_(array), at_(skip_space(array, 0)) {
  if (at_ < text_.size() && text_[at_] == '[')
    ++at_;
  else
    at_ = text_.size();
}

bool ElementCursor::next() {
  at_ = skip_space(text_, at_);
  if (at_ < text_.size() && text_[at_] == ',') at_ = skip_space(text_, at_ + 1);
  if (at_ >= text_.size() || text_[at_] == ']') return false;
  const size_t begin = at_;
  at_ = skip_value(text_, at_);
  value_ = text_.substr(begin, at_ - begin);
  return true;
}

std::optional<std::string_view> find_member(std::string_view object, std::string_view name) {
  MemberCursor members(object);
  while (members.next())
    if (members.key_is(name)) return members.value();
  return std::nullopt;
}

std::string json_text(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return {};
  const std::string_view raw = value.substr(1, value.size() - 2);
  return raw.find('\\') == std::string_view::npos ? std::string(raw) : unescape(raw);
}

size_t json_depth(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
      continue;
    }
    ++at;
    if (c == '{' || c == '[')
      deepest = std::max(deepest, ++depth);
    else if ((c == '}' || c == ']') && depth > 0)
      --depth;
  }
  return deepest;
}

std::optional<double> json_number(std::string_view value) {
  if (json_kind(value) != JsonKind::kNumber) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

}  // namespace enhanced_gptcache::proxy
