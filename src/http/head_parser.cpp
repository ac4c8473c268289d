#include "http/head_parser.h"

#include <array>
#include <cstring>

namespace enhanced_gptcache::http {
namespace {

constexpr unsigned char kTokenChar = 1, kValueChar = 2, kTargetChar = 4;

constexpr std::array<unsigned char, 256> make_classes() {
  std::array<unsigned char, 256> classes{};
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (size_t c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (letter || digit || kMarks.find(static_cast<char>(c)) != std::string_view::npos)
      classes[c] |= kTokenChar;
    if (c == '\t' || (c >= 0x20 && c != 0x7F)) classes[c] |= kValueChar;
    if (c > 0x20 && c < 0x7F) classes[c] |= kTargetChar;
  }
  return classes;
}
constexpr auto kClasses = make_classes();

bool all_of_class(std::string_view text, unsigned char wanted) {
  unsigned char seen = wanted;
  for (const char c : text) seen &= kClasses[static_cast<unsigned char>(c)];
  return (seen & wanted) != 0;
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes the next CRLF-ended line; the scanner has already made sure that every LF follows a CR.
std::string_view next_line(std::string_view& rest) {
  const auto* end = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
  if (end == nullptr) return std::exchange(rest, {});
  const auto length = static_cast<size_t>(end - rest.data());
  const std::string_view line = rest.substr(0, length - 1);
  rest.remove_prefix(length + 1);
  return line;
}

const char* note_content_length(std::string_view value, Framing& framing) {
  if (framing.content_length) return "Content-Length is given more than once";
  // 18 digits stay far below 2^64; anything longer is over every limit anyway.
  if (value.empty() || value.size() > 18) return "Content-Length is not a number of at most 18 digits";
  uint64_t length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return "Content-Length is not a decimal number";
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  framing.content_length = length;
  return nullptr;
}

const char* note_transfer_encoding(std::string_view value, Framing& framing) {
  if (framing.transfer_encoding) return "Transfer-Encoding is given more than once";
  framing.transfer_encoding = true;
  framing.chunked = equals_ignoring_case(value, "chunked");
  return nullptr;
}

void note_connection(std::string_view value, Framing& framing) {
  framing.connection_close |= list_contains(value, "close");
  framing.connection_keep_alive |= list_contains(value, "keep-alive");
  framing.connection_upgrade |= list_contains(value, "upgrade");
}

const char* note_framing(std::string_view name, std::string_view value, Framing& framing) {
  switch (name.size()) {
    case 7:
      if (equals_ignoring_case(name, "upgrade")) framing.upgrade = true;
      return nullptr;
    case 10:
      if (equals_ignoring_case(name, "connection")) note_connection(value, framing);
      return nullptr;
    case 14:
      return equals_ignoring_case(name, "content-length") ? note_content_length(value, framing) : nullptr;
    case 17:
      return equals_ignoring_case(name, "transfer-encoding") ? note_transfer_encoding(value, framing)
                                                             : nullptr;
    default:
      return nullptr;
  }
}

const char* parse_header_line(std::string_view line, HeaderView& header) {
  if (line.front() == ' ' || line.front() == '\t')
    return "a header line starts with white space (obsolete folding)";
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return "a header line has no colon";
  header.name = line.substr(0, colon);
  if (!is_token(header.name)) return "a header name is empty or has a character that is not allowed";
  header.value = trim(line.substr(colon + 1));
  if (!is_field_value(header.value)) return "a header value has a control character";
  return nullptr;
}

const char* check_framing(const Framing& framing) {
  if (framing.transfer_encoding && framing.content_length) {
    return "both Content-Length and Transfer-Encoding are given";
  }
  return nullptr;
}

/// "http://host/path" is what clients send that take us for their proxy; servers must accept it (RFC 9112
/// section 3.2.2). What counts is the path.
std::string_view origin_form(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() <= scheme.size() || !equals_ignoring_case(target.substr(0, scheme.size()), scheme))
      continue;
    const size_t slash = target.find_first_of("/?", scheme.size());
    if (slash != std::string_view::npos && target[slash] == '/') return target.substr(slash);
    return slash == std::string_view::npos ? std::string_view("/") : target;
  }
  return target;
}

const char* parse_request_line(std::string_view line, RequestHead& out, int& status) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return "the request line is not METHOD TARGET VERSION";
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(out.method)) return "the request method is not a token";
  if (out.target.empty() || !all_of_class(out.target, kTargetChar)) {
    return "the request target is empty or has a character that is not allowed";
  }
  if (out.target.front() != '/') out.target = origin_form(out.target);
  if (out.target.front() != '/' && !(out.target == "*" && out.method == "OPTIONS")) {
    return "the request target is not an absolute path";
  }
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.') {
    return "the request line does not end in an HTTP version";
  }
  if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
    status = 505;
    return "only HTTP/1.0 and HTTP/1.1 are supported";
  }
  out.version_minor = version[7] - '0';
  return nullptr;
}

const char* note_request_header(const HeaderView& header, RequestHead& out, int& status) {
  if (const char* wrong = note_framing(header.name, header.value, out.framing)) return wrong;
  if (header.name.size() == 4 && equals_ignoring_case(header.name, "host")) ++out.host_count;
  if (header.name.size() == 6 && equals_ignoring_case(header.name, "expect")) {
    if (!equals_ignoring_case(header.value, "100-continue")) {
      status = 417;
      return "the only expectation supported is 100-continue";
    }
    out.expects_continue = out.version_minor >= 1;
  }
  return nullptr;
}

const char* check_request(const RequestHead& head, int& status) {
  if (const char* wrong = check_framing(head.framing)) return wrong;
  if (head.framing.transfer_encoding && head.version_minor == 0)
    return "Transfer-Encoding in an HTTP/1.0 request";
  if (head.framing.transfer_encoding && !head.framing.chunked) {
    status = 501;
    return "the only Transfer-Encoding supported is chunked";
  }
  if (head.host_count > 1) return "Host is given more than once";
  if (head.host_count == 0 && head.version_minor >= 1) return "an HTTP/1.1 request needs a Host header";
  return nullptr;
}

}  // namespace

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  while (position_ < bytes.size()) {
    const char* from = bytes.data() + position_;
    const auto* feed = static_cast<const char*>(std::memchr(from, '\n', bytes.size() - position_));
    if (feed == nullptr) {
      position_ = bytes.size();
      return State::kMore;
    }
    const auto at = static_cast<size_t>(feed - bytes.data());
    if (at == line_start_ || bytes[at - 1] != '\r') return State::kBad;
    const bool empty = at == line_start_ + 1;
    position_ = at + 1;
    line_start_ = position_;
    if (!empty) continue;
    if (at != leading_ + 1) return State::kFound;
    leading_ += 2;
    if (leading_ > 4) return State::kBad;
  }
  return State::kMore;
}

const char* parse_request_head(std::string_view head, RequestHead& out, std::vector<HeaderView>& headers,
                               int& status) {
  status = 400;
  std::string_view rest = head;
  if (const char* wrong = parse_request_line(next_line(rest), out, status)) return wrong;
  for (std::string_view line = next_line(rest); !line.empty(); line = next_line(rest)) {
    HeaderView& header = headers.emplace_back();
    if (const char* wrong = parse_header_line(line, header)) return wrong;
    if (const char* wrong = note_request_header(header, out, status)) return wrong;
  }
  return check_request(out, status);
}

const char* parse_response_head(std::string_view head, ResponseHead& out, std::vector<HeaderView>& headers) {
  std::string_view rest = head;
  const std::string_view line = next_line(rest);
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || (line[7] != '0' && line[7] != '1') ||
      line[8] != ' ') {
    return "the status line is not that of HTTP/1.0 or HTTP/1.1";
  }
  out.version_minor = line[7] - '0';
  for (size_t i = 9; i < 12; ++i) {
    if (line[i] < '0' || line[i] > '9') return "the status code is not a number";
    out.status = out.status * 10 + (line[i] - '0');
  }
  if (out.status < 100 || (line.size() > 12 && line[12] != ' '))
    return "the status code is not one of three digits";
  for (std::string_view field = next_line(rest); !field.empty(); field = next_line(rest)) {
    HeaderView& header = headers.emplace_back();
    if (const char* wrong = parse_header_line(field, header)) return wrong;
    if (const char* wrong = note_framing(header.name, header.value, out.framing)) return wrong;
  }
  return check_framing(out.framing);
}

bool is_token(std::string_view text) { return !text.empty() && all_of_class(text, kTokenChar); }

bool is_field_value(std::string_view text) { return all_of_class(text, kValueChar); }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool list_contains(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (equals_ignoring_case(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace enhanced_gptcache::http
