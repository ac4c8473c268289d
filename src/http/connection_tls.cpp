// Connection: the same bytes through TLS. OpenSSL reads and writes the non-blocking socket itself; this file
// waits for the socket whenever OpenSSL has to.

#include <boost/asio/post.hpp>

#include "http/connection.h"

namespace enhanced_gptcache::http {

using asio::ip::tcp;
using boost::system::error_code;

namespace {
constexpr size_t kReadBytes = 4096;
constexpr size_t kBodyReadBytes = size_t{16} << 10U;
}  // namespace

void Connection::shake_hands() {
  if (closed_) return;
  const TlsSession::Progress progress = tls_->handshake();
  if (progress == TlsSession::Progress::kDone) {
    certificate_names_ = tls_->peer_names();
    read_deadline_us_ = now_us() + thread_->rules().options.idle_timeout_ms * 1000;
    return advance();
  }
  if (progress != TlsSession::Progress::kWantRead && progress != TlsSession::Progress::kWantWrite) {
    thread_->counters.bad_requests.fetch_add(1, std::memory_order_relaxed);
    return close();
  }
  const auto what =
      progress == TlsSession::Progress::kWantRead ? tcp::socket::wait_read : tcp::socket::wait_write;
  socket_->async_wait(what, [self = shared_from_this()](const error_code& error) {
    if (self->closed_) return;
    if (error) return self->close();
    self->shake_hands();
  });
}

void Connection::read_encrypted() {
  read_pending_ = true;
  auto self = shared_from_this();
  // What was decrypted already makes no socket readable.
  if (tls_->has_pending()) {
    thread_->post([self] {
      self->read_pending_ = false;
      if (!self->closed_) self->receive_encrypted();
    });
    return;
  }
  socket_->async_wait(tcp::socket::wait_read, [self = std::move(self)](const error_code& error) {
    self->read_pending_ = false;
    if (self->closed_) return;
    if (error) return self->on_read(error, 0);
    self->receive_encrypted();
  });
}

void Connection::receive_encrypted() {
  in_.ensure_space(state_ == State::kBody ? kBodyReadBytes : kReadBytes);
  size_t count = 0;
  switch (tls_->read(in_.tail(), in_.space(), count)) {
    case TlsSession::Progress::kDone:
      return on_read({}, count);
    case TlsSession::Progress::kWantRead:
      return read_more();
    case TlsSession::Progress::kClosed:
      return on_read(asio::error::eof, 0);
    case TlsSession::Progress::kWantWrite:  // only renegotiation would, and that is off
    case TlsSession::Progress::kFailed:
      return close();
  }
}

}  // namespace enhanced_gptcache::http
