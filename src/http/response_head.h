#pragma once
// Writing the head of a response.

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace enhanced_gptcache::http {

std::string_view reason_phrase(int status);
/// RFC 9110: 1xx, 204 and 304 never have a body.
bool status_has_body(int status);

/// The Date line, rendered once per second. Confined to one thread.
class DateLine {
 public:
  /// "Date: ...\r\n" for the wall clock second `now`.
  std::string_view at(std::time_t now);

 private:
  std::time_t second_ = 0;
  std::string text_;
};

struct ResponseFraming {
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool close = false;
  bool keep_alive_line = false;       ///< HTTP/1.0 clients want to be told
  std::string_view extra_lines = {};  ///< whole lines of our own
  bool upgrade = false;               ///< the handler's Connection and Upgrade headers are sent as they are
};

/// Appends status line, headers and the empty line. Headers that describe this connection (Connection,
/// Content-Length, Transfer-Encoding, Date...) are ours and skipped; one with a line break or another
/// control byte is left out, so that nothing can inject a header.
void append_response_head(std::string& out, int status, const Headers& headers,
                          const ResponseFraming& framing, std::string_view date_line);

}  // namespace enhanced_gptcache::http
