#pragma once
// The head of an HTTP/1.x message (RFC 9112), parsed in one pass over bytes that already contain its
// end. Strict where leniency lets two parsers disagree about where a message ends (request
// smuggling): bare LF, obs-fold, white space before a colon, control bytes, a repeated or
// malformed Content-Length, and Content-Length beside Transfer-Encoding are errors, not repaired.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/exchange.h"

namespace enhanced_gptcache::http {

/// Looks for the end of a head in bytes that arrive in pieces, each byte once.
class HeadScanner {
 public:
  enum class State { kMore, kFound, kBad };
  /// `bytes` is everything received so far, from the first byte of the message.
  State scan(std::string_view bytes);
  /// Bytes of the head with its final empty line, after kFound.
  size_t head_bytes() const { return line_start_; }
  /// Bytes of empty lines before the start line (a server skips up to two, RFC 9112 section 2.2).
  size_t leading_bytes() const { return leading_; }
  void reset() { *this = HeadScanner{}; }

 private:
  size_t position_ = 0;    // first byte not looked at yet
  size_t line_start_ = 0;  // first byte of the current line
  size_t leading_ = 0;
};

/// What the framing headers of a message say; filled while headers are parsed.
struct Framing {
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool transfer_encoding = false;  ///< present, whatever it says
  bool connection_close = false;
  bool connection_keep_alive = false;
  bool connection_upgrade = false;
  bool upgrade = false;
};

struct RequestHead {
  std::string_view method;
  std::string_view target;
  int version_minor = 1;
  size_t host_count = 0;
  bool expects_continue = false;
  Framing framing;
  bool keep_alive() const {
    return version_minor >= 1 ? !framing.connection_close
                              : framing.connection_keep_alive && !framing.connection_close;
  }
};

struct ResponseHead {
  int version_minor = 1;
  int status = 0;
  Framing framing;
};

/// nullptr: parsed. Otherwise a static sentence that says what is wrong. `head` ends with the empty line.
/// `status` is set to what a server should answer (400, 417, 501, 505) when not parsed.
const char* parse_request_head(std::string_view head, RequestHead& out, std::vector<HeaderView>& headers,
                               int& status);
/// For answers of other servers: the same strictness about framing, but obsolete text in values passes.
const char* parse_response_head(std::string_view head, ResponseHead& out, std::vector<HeaderView>& headers);

bool is_token(std::string_view text);
/// A header value that may be sent: no CR, LF, NUL or other control byte except tab.
bool is_field_value(std::string_view text);
/// ASCII case-insensitive equality.
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// True when the comma-separated `list` has the member `token`, ignoring case.
bool list_contains(std::string_view list, std::string_view token);

}  // namespace enhanced_gptcache::http
