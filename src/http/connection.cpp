#include "http/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>

#include "http/server_exchange.h"

namespace enhanced_gptcache::http {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr size_t kReadBytes = 4096;
constexpr size_t kBodyReadBytes = size_t{64} << 10U;
/// What is read ahead while a handler works (the next requests of a pipelining client, or a body that
/// the handler has not asked for yet). Above it the connection waits, and the kernel stops the client.
constexpr size_t kReadAheadBytes = size_t{64} << 10U;
/// After an answer that came before the whole request: how much and how long to go on reading, so
/// that the client can read the answer before it sees a reset.
constexpr size_t kLingerBytesMax = size_t{4} << 20U;
constexpr int64_t kLingerUs = 1'000'000;

}  // namespace

Connection::Connection(std::shared_ptr<ServerThread> thread, tcp::socket socket)
    : thread_(std::move(thread)), socket_(std::move(socket)) {
  error_code ignored;
  socket_->native_non_blocking(true, ignored);
  socket_->set_option(tcp::no_delay(true), ignored);
  socket_->set_option(asio::socket_base::keep_alive(true), ignored);
  const auto endpoint = socket_->remote_endpoint(ignored);
  if (!ignored) peer_ = endpoint.address().to_string();
}

Connection::~Connection() = default;

void Connection::start() {
  read_deadline_us_ = now_us() + thread_->rules().options.idle_timeout_ms * 1000;
  if (thread_->draining()) return close();
  if (const auto& tls = thread_->rules().tls) {
    tls_ = tls->accept(socket_->native_handle());
    read_deadline_us_ = now_us() + thread_->rules().options.header_timeout_ms * 1000;
    return shake_hands();
  }
  advance();
}

void Connection::refuse() {
  // Saying so would take a whole handshake.
  if (thread_->rules().tls) return close();
  unread_input_ = true;
  refuse_request(503, "the server has as many connections as it may have");
}

void Connection::close() {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  gone_.store(true, std::memory_order_release);
  error_code ignored;
  if (tls_ && !cut_) tls_->say_goodbye();
  socket_->close(ignored);
  socket_.reset();
  tls_.reset();
  in_signal_.reset();
  out_signal_.reset();
  reading_.reset();
  if (answered_) {
    account(*answered_, status_);
    answered_.reset();
  }
  out_.clear();
  fire_gone();
  thread_->remove(*this);
}

void Connection::begin_drain() {
  if (closed_) return;
  keep_alive_ = false;
  if (state_ == State::kHead && in_.empty()) close();
}

void Connection::check_deadlines(int64_t now) {
  if (closed_) return;
  if (write_deadline_us_ != 0 && now > write_deadline_us_) {
    on_write_deadline(now);
  } else if (read_deadline_us_ != 0 && now > read_deadline_us_) {
    read_deadline_us_ = 0;
    on_read_deadline();
  }
}

void Connection::on_write_deadline(int64_t now) {
  // The kernel reports a socket as writable only when a good part of its buffer is free, which takes a
  // slow but honest client minutes. So what counts is whether the client has taken anything at all.
  int unsent_bytes = 0;
  if (::ioctl(socket_->native_handle(), SIOCOUTQ, &unsent_bytes) == 0 && unsent_bytes < unsent_bytes_) {
    unsent_bytes_ = unsent_bytes;
    write_deadline_us_ = now + thread_->rules().options.write_timeout_ms * 1000;
    return;
  }
  thread_->counters.timeouts.fetch_add(1, std::memory_order_relaxed);
  close();
}

void Connection::on_read_deadline() {
  if (state_ == State::kLingering || (state_ == State::kHead && in_.empty())) return close();
  thread_->counters.timeouts.fetch_add(1, std::memory_order_relaxed);
  if (state_ == State::kHandling) {
    body_expired_ = true;
    notify(in_signal_);
    return;
  }
  // The pending read aims at in_, whose bytes are about to move into the exchange.
  error_code ignored;
  socket_->cancel(ignored);
  unread_input_ = true;
  if (state_ == State::kBody) {
    const auto exchange = std::exchange(reading_, nullptr);
    answer_error(exchange, 408, "the request body did not arrive in time");
  } else {
    refuse_request(408, "the request head did not arrive in time");
  }
}

void Connection::read_more() {
  if (read_pending_ || closed_ || peer_ended_) return;
  if (tls_) return read_encrypted();
  read_pending_ = true;
  auto self = shared_from_this();
  if (state_ == State::kHead || state_ == State::kBody) {
    in_.ensure_space(state_ == State::kBody ? kBodyReadBytes : in_.empty() ? kReadBytes : kReadBytes / 2);
    socket_->async_read_some(asio::buffer(in_.tail(), in_.space()),
                             [self = std::move(self)](const error_code& error, size_t count) {
                               self->read_pending_ = false;
                               self->on_read(error, count);
                             });
    return;
  }
  // While a handler works, in_ may be consumed under a pending read; so wait first and read after.
  socket_->async_wait(tcp::socket::wait_read, [self = std::move(self)](const error_code& error) {
    self->read_pending_ = false;
    if (self->closed_) return;
    if (error) return self->on_read(error, 0);
    self->receive();
  });
}

void Connection::receive() {
  in_.ensure_space(kReadBytes);
  const ssize_t count = ::recv(socket_->native_handle(), in_.tail(), in_.space(), MSG_DONTWAIT);
  if (count > 0) return on_read({}, static_cast<size_t>(count));
  if (count == 0) return on_read(asio::error::eof, 0);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return read_more();
  close();
}

void Connection::on_read(const error_code& error, size_t count) {
  if (closed_) return;
  if (error == asio::error::operation_aborted) {
    // Cancelled by a deadline, whose answer has changed the state meanwhile.
    if (state_ == State::kLingering || state_ == State::kHandling) read_more();
    return;
  }
  if (error == asio::error::eof) return on_end();
  if (error) return close();
  in_.commit(count);
  if (state_ == State::kLingering) return discard_input();
  if (state_ == State::kHandling) notify(in_signal_);
  advance();
}

void Connection::on_end() {
  peer_ended_ = true;
  if (state_ == State::kLingering) return close();
  if (state_ != State::kHandling) return advance();  // answers whole requests that are left, then closes
  notify(in_signal_);
  step();
}

/// The client will send no more, but a half-closed one still reads and is owed its answer, while one that
/// has left is to be forgotten. Both look the same (a FIN) until something is sent: the kernel of a client
/// that has left answers with a reset. So something is sent that says nothing: before the answer one interim
/// response, which every client must be able to skip (RFC 9110, section 15.2); between two chunks a leading
/// zero of the next one's size (RFC 9112, section 7.1). Where neither exists (HTTP/1.0, an answer of stated
/// length) the next bytes of the answer tell.
void Connection::probe_client() {
  watch_for_reset();
  if (probed_ || !body_done_) return;  // whoever reads a body that was cut short is told so
  if (!answer_begun_ && head_.version_minor >= 1) {
    probed_ = true;
    send_continue();
  } else if (answer_begun_ && chunked_out_ && !answer_ended_) {
    probed_ = true;
    push("0");
    flush();
  }
}

void Connection::watch_for_reset() {
  if (reset_watched_) return;
  reset_watched_ = true;
  socket_->async_wait(tcp::socket::wait_error, [self = shared_from_this()](const error_code& error) {
    self->reset_watched_ = false;
    if (!error) self->close();
  });
}

void Connection::advance() {
  if (advancing_ || closed_) return;
  const auto self = shared_from_this();
  advancing_ = true;
  const uint64_t first = sequence_;
  bool yields = false;
  while (!closed_ && step() == Step::kAgain) {
    // A client that pipelines many requests takes turns with the others.
    yields = sequence_ - first >= thread_->rules().options.pipeline_max;
    if (yields) break;
  }
  advancing_ = false;
  if (yields) thread_->post([self] { self->advance(); });
}

Connection::Step Connection::step() {
  switch (state_) {
    case State::kHead:
      return read_head();
    case State::kBody:
      return read_body();
    case State::kHandling:
      if (peer_ended_) {
        probe_client();
      } else if (in_.size() < kReadAheadBytes) {
        read_more();
      }
      return Step::kWait;
    case State::kLingering:
      return Step::kWait;
  }
  return Step::kWait;
}

void Connection::linger() {
  state_ = State::kLingering;
  in_.clear();
  read_deadline_us_ = now_us() + kLingerUs;
  error_code ignored;
  if (tls_) tls_->say_goodbye();
  socket_->shutdown(tcp::socket::shutdown_send, ignored);
  if (peer_ended_) return close();
  read_more();
}

void Connection::discard_input() {
  discarded_bytes_ += in_.size();
  in_.clear();
  if (discarded_bytes_ > kLingerBytesMax) return close();
  read_more();
}

void Connection::fire_gone() {
  auto callbacks = std::move(gone_callbacks_);
  gone_callbacks_.clear();
  for (const auto& callback : callbacks) callback();
}

void Connection::on_gone(uint64_t sequence, std::function<void()> callback) {
  if (gone()) return callback();
  if (is_current(sequence)) gone_callbacks_.push_back(std::move(callback));
}

void Connection::notify(std::optional<asio::steady_timer>& signal) {
  if (signal) signal->cancel();
}

asio::awaitable<void> Connection::wait_for(std::optional<asio::steady_timer>& signal) {
  if (!signal) signal.emplace(thread_->context(), asio::steady_timer::time_point::max());
  co_await signal->async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<Result<std::string>> Connection::next_body(uint64_t sequence) {
  if (is_current(sequence) && continue_due_) send_continue();
  while (is_current(sequence)) {
    if (body_done_) co_return std::string();
    std::string piece;
    if (const char* wrong = take_body(piece, kBodyReadBytes))
      co_return fail(ErrorCode::kInvalidArgument, wrong);
    if (!piece.empty()) {
      step();
      co_return piece;
    }
    if (body_done_) co_return std::string();
    if (peer_ended_) co_return fail(ErrorCode::kInvalidArgument, "the request body ends too early");
    if (body_expired_) co_return fail(ErrorCode::kDeadline, "the request body did not arrive in time");
    read_deadline_us_ = now_us() + thread_->rules().options.body_timeout_ms * 1000;
    step();
    co_await wait_for(in_signal_);
    read_deadline_us_ = 0;
  }
  co_return fail(ErrorCode::kUnavailable, "the client has left");
}

asio::awaitable<Result<std::string>> Connection::next_raw(uint64_t sequence) {
  tunnel_ = true;
  while (is_current(sequence)) {
    if (!in_.empty()) {
      std::string piece(in_.view());
      in_.clear();
      step();
      co_return piece;
    }
    if (peer_ended_) co_return std::string();
    step();
    co_await wait_for(in_signal_);
  }
  co_return fail(ErrorCode::kUnavailable, "the client has left");
}

}  // namespace enhanced_gptcache::http
