#pragma once
// One connection to an upstream: TCP or TLS over it, with deadlines. Internal to src/http.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace boost::asio::ssl {
class context;
}

namespace enhanced_gptcache::http {

namespace asio = boost::asio;

/// What a read or write came to.
struct IoOutcome {
  enum class Kind { kOk, kEnd, kTruncated, kExpired, kCancelled, kFailed };
  Kind kind = Kind::kOk;
  size_t bytes = 0;
  std::string message;  ///< of the system or of OpenSSL, for kFailed
};

/// Thread rule: confined to its executor. At most one read and one write at a time. Closing it (any
/// deadline, cancel(), the destructor) makes what is pending fail.
class UpstreamStream : public std::enable_shared_from_this<UpstreamStream> {
 public:
  explicit UpstreamStream(asio::any_io_executor executor);
  ~UpstreamStream();

  asio::ip::tcp::socket& socket() { return socket_; }
  /// TLS handshake as a client of `host`: SNI, and the certificate must be for that name or address.
  asio::awaitable<IoOutcome> handshake(asio::ssl::context& context, std::string host);
  asio::awaitable<IoOutcome> read_some(char* into, size_t bytes_max, int64_t timeout_ms);
  /// All of it; the limit is between two pieces that the socket takes.
  asio::awaitable<IoOutcome> write_all(std::vector<asio::const_buffer> buffers, int64_t timeout_ms);
  /// Turns an error code of an operation on socket() into an outcome.
  IoOutcome outcome(const boost::system::error_code& error, size_t bytes) const;

  /// Everything that waits fails after this many milliseconds, until disarm().
  void arm_connect(int64_t timeout_ms) { arm(write_due_us_, timeout_ms); }
  void disarm_connect() { write_due_us_ = kNever; }

  void cancel();
  void close();
  bool is_open() const { return socket_.is_open(); }
  /// Before an idle connection is used again: still open, and nothing to read.
  bool is_quiet();
  /// Stops the timer, so that an idle connection keeps nothing running.
  void rest();

 private:
  struct Tls;
  static constexpr int64_t kNever = INT64_MAX;
  void arm(int64_t& due_us, int64_t timeout_ms);
  void start_timer(int64_t due_us);
  void on_timer();
  std::string describe(const boost::system::error_code& error) const;

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  std::unique_ptr<Tls> tls_;
  int64_t read_due_us_ = kNever;
  int64_t write_due_us_ = kNever;
  int64_t timer_due_us_ = kNever;  // kNever: not running
  bool expired_ = false;
  bool cancelled_ = false;
};

/// Verifies certificates against the system's authorities and, if given, those of `ca_file` (PEM); TLS 1.2
/// or newer. kInvalidArgument: the file cannot be read or has no certificate.
Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& ca_file);

}  // namespace enhanced_gptcache::http
