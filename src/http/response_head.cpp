#include "http/response_head.h"

#include <array>
#include <charconv>

#include "base/log.h"
#include "http/head_parser.h"

namespace enhanced_gptcache::http {
namespace {

struct Reason {
  int status;
  std::string_view phrase;
};
constexpr std::array kReasons = {
    Reason{100, "Continue"},
    Reason{101, "Switching Protocols"},
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{204, "No Content"},
    Reason{206, "Partial Content"},
    Reason{301, "Moved Permanently"},
    Reason{302, "Found"},
    Reason{303, "See Other"},
    Reason{304, "Not Modified"},
    Reason{307, "Temporary Redirect"},
    Reason{308, "Permanent Redirect"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{402, "Payment Required"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{406, "Not Acceptable"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{410, "Gone"},
    Reason{411, "Length Required"},
    Reason{413, "Content Too Large"},
    Reason{414, "URI Too Long"},
    Reason{415, "Unsupported Media Type"},
    Reason{416, "Range Not Satisfiable"},
    Reason{417, "Expectation Failed"},
    Reason{421, "Misdirected Request"},
    Reason{422, "Unprocessable Content"},
    Reason{424, "Failed Dependency"},
    Reason{425, "Too Early"},
    Reason{426, "Upgrade Required"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{499, "Client Closed Request"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{502, "Bad Gateway"},
    Reason{503, "Service Unavailable"},
    Reason{504, "Gateway Timeout"},
    Reason{505, "HTTP Version Not Supported"},
};

/// The length decides first: most names are none of these, and this runs for every header sent.
bool is_ours(std::string_view name, const ResponseFraming& framing) {
  switch (name.size()) {
    case 4:
      return equals_ignoring_case(name, "date");
    case 7:
      return !framing.upgrade &&
             (equals_ignoring_case(name, "upgrade") || equals_ignoring_case(name, "trailer"));
    case 10:
      return equals_ignoring_case(name, "keep-alive") ||
             (!framing.upgrade && equals_ignoring_case(name, "connection"));
    case 14:
      return equals_ignoring_case(name, "content-length");
    case 16:
      return equals_ignoring_case(name, "proxy-connection");
    case 17:
      return equals_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

void append_number(std::string& out, uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

}  // namespace

std::string_view reason_phrase(int status) {
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.phrase;
  }
  return "Unknown";
}

bool status_has_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::string_view DateLine::at(std::time_t now) {
  if (now == second_ && !text_.empty()) return text_;
  second_ = now;
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  const size_t length =
      std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
  text_.assign(text.data(), length);
  return text_;
}

void append_response_head(std::string& out, int status, const Headers& headers,
                          const ResponseFraming& framing, std::string_view date_line) {
  if (status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    out += "HTTP/1.1 ";
    append_number(out, static_cast<uint64_t>(status));
    out += ' ';
    out += reason_phrase(status);
    out += "\r\n";
  }
  out += date_line;
  for (const Header& header : headers) {
    if (is_ours(header.name, framing)) continue;
    if (!is_token(header.name) || !is_field_value(header.value)) {
      base::log_warning(
          "a response header was left out: its name or value has a character that is not allowed");
      continue;
    }
    out += header.name;
    out += ": ";
    out += header.value;
    out += "\r\n";
  }
  if (framing.content_length) {
    out += "Content-Length: ";
    append_number(out, *framing.content_length);
    out += "\r\n";
  }
  out += framing.extra_lines;
  if (framing.chunked) out += "Transfer-Encoding: chunked\r\n";
  if (framing.close && !framing.upgrade) out += "Connection: close\r\n";
  if (framing.keep_alive_line && !framing.close) out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

}  // namespace enhanced_gptcache::http
