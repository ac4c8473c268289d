#pragma once
// One HTTP request and the writing of its response. The server makes it; a handler gets it as a
// shared_ptr and keeps it for as long as it works on it. Answers either with one send(), which is
// the fast path, or with start(), write()..., finish().

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {
struct Pass;
}

namespace enhanced_gptcache::http {

namespace asio = boost::asio;

struct Header {
  std::string name;
  std::string value;
};
using Headers = std::vector<Header>;
/// Case-insensitive; the first one, or nullptr.
const std::string* find_header(const Headers& headers, std::string_view name);

struct HeaderView {
  std::string_view name;
  std::string_view value;
};

/// Views into the connection's buffer, valid while the Exchange lives.
struct Request {
  std::string_view method;
  std::string_view target;  ///< as sent, origin form
  std::string_view path;    ///< target up to '?', percent-encoding kept
  std::string_view query;   ///< after '?', may be empty
  std::vector<HeaderView> headers;
  std::string_view body;  ///< the whole body for routes that buffer it, else empty
  std::string peer;       ///< address of the other end, without port
  /// Of the caller's certificate, which one of tls_client_ca_file has signed: "DNS:...", "URI:...",
  /// "email:...", "CN:..."; null: it showed none.
  std::shared_ptr<const std::vector<std::string>> certificate_names;
  bool expects_continue = false;
  /// Case-insensitive; empty view when absent. `has` tells absence from emptiness.
  std::string_view header(std::string_view name) const;
  bool has(std::string_view name) const;
};

/// A whole response. `body` may be shared with the cache, so a hit is sent without a copy.
struct Response {
  int status = 200;
  Headers headers;  ///< without Content-Length, Date, Connection: the server adds them
  std::string body;
  std::shared_ptr<const void> body_owner;  ///< keeps shared_body alive
  std::string_view shared_body;            ///< sent instead of `body` when body_owner is set
};

/// Thread rule: confined to executor() (the connection's thread) except where a method says otherwise.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  /// Any thread. Valid for as long as the Exchange is held, also after the server has stopped (what is
  /// posted then is destroyed without being run).
  virtual asio::any_io_executor executor() const = 0;

  /// Sends the whole response. Exactly one of send() and start() is called; a handler that drops the
  /// last reference without answering yields 500. Any thread.
  virtual void send(Response response) = 0;

  /// Begins a response of unknown length (chunked on HTTP/1.1) or, with a Content-Length header, of
  /// that length. False: the client is gone.
  virtual asio::awaitable<bool> start(int status, Headers headers) = 0;
  /// Waits until the socket took it (back-pressure). False: the client is gone.
  virtual asio::awaitable<bool> write(std::string chunk) = 0;
  /// Ends the body properly.
  virtual asio::awaitable<void> finish() = 0;
  /// Closes the connection without the terminal chunk, so that the client sees a cut answer. Any thread.
  virtual void abort() = 0;

  /// For routes that do not buffer: the next piece of the body; empty at its end. kInvalidArgument: malformed
  /// or over a limit.
  virtual asio::awaitable<Result<std::string>> read_body() = 0;
  /// After the handler decided to tunnel (WebSocket): the raw bytes that follow. Empty: closed.
  virtual asio::awaitable<Result<std::string>> read_raw() = 0;
  /// Raw bytes out, no framing; the connection closes afterwards. False: gone.
  virtual asio::awaitable<bool> write_raw(std::string bytes) = 0;

  /// Any thread.
  virtual bool client_gone() const = 0;
  /// Called once on executor() when the client leaves before the answer is complete; at once if it already
  /// has. A client that only half-closed (it sends no more, but reads) has not left.
  virtual void on_client_gone(std::function<void()> callback) = 0;

  /// For the access log and metrics; the proxy fills what it knows.
  struct Notes {
    std::string request_id, key_id, model, cache, route;
    bool refused = false;  ///< turned away for who asks, not for what
    std::string audit;     ///< what an administrative call did, without secrets, for the audit log
    int64_t ttft_us = 0;
    uint64_t tokens_prompt = 0, tokens_completion = 0;
  };
  Notes notes;
  /// Who calls and what it may use, put there by the request hook; null when it has nothing to say. This
  /// layer only carries it.
  std::shared_ptr<const security::Pass> pass;
  int64_t started_us = 0;  ///< monotonic, when the head was complete
};
using ExchangePtr = std::shared_ptr<Exchange>;
/// Runs on the connection's thread and must not block.
using Handler = std::function<void(ExchangePtr)>;

}  // namespace enhanced_gptcache::http
