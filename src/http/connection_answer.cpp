// Connection: the answering half.

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <charconv>

#include "base/log.h"
#include "http/connection.h"
#include "http/server_exchange.h"

namespace enhanced_gptcache::http {

using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// nginx's status for a request whose client left before the answer; only logged, never sent.
constexpr int kStatusClientLeft = 499;

std::optional<uint64_t> stated_length(const Headers& headers) {
  const std::string* text = find_header(headers, "content-length");
  if (text == nullptr) return std::nullopt;
  uint64_t length = 0;
  const char* end = text->data() + text->size();
  const auto [parsed, error] = std::from_chars(text->data(), end, length);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return length;
}

std::string chunk_size_line(size_t size) {
  std::array<char, 18> text{};
  char* end = std::to_chars(text.data(), text.data() + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {text.data(), end};
}

}  // namespace

void Connection::push(std::string bytes) {
  bytes_out_ += bytes.size();
  out_.push(std::move(bytes));
}

void Connection::begin_answer(int status, const Headers& headers) {
  status_ = status;
  answer_begun_ = true;
  continue_due_ = false;
  body_allowed_ = status_has_body(status) && !head_only_;
  const std::string* connection = find_header(headers, "connection");
  if (connection != nullptr && list_contains(*connection, "close")) keep_alive_ = false;
  if (!body_done_ || unread_input_ || thread_->draining()) keep_alive_ = false;
}

std::string Connection::make_head(int status, const Headers& headers, std::optional<uint64_t> length) {
  ResponseFraming framing;
  framing.content_length = length;
  framing.chunked = chunked_out_;
  framing.close = !keep_alive_;
  framing.keep_alive_line = head_.version_minor == 0;
  framing.upgrade = tunnel_;
  framing.extra_lines = thread_->rules().hsts_line;
  std::string head;
  size_t size = 160;
  for (const Header& header : headers) size += header.name.size() + header.value.size() + 4;
  head.reserve(size);
  append_response_head(head, status, headers, framing, thread_->date_line());
  return head;
}

void Connection::send(ServerExchange& exchange, Response response) {
  if (!is_current(exchange.sequence()) || answer_begun_) return account(exchange, kStatusClientLeft);
  begin_answer(response.status, response.headers);
  // A proxied answer names it already, as X-Cache-Request-Id, and may carry the provider's own beside it.
  if (!exchange.notes.request_id.empty() && find_header(response.headers, "X-Cache-Request-Id") == nullptr &&
      find_header(response.headers, "X-Request-Id") == nullptr)
    response.headers.push_back({"X-Request-Id", exchange.notes.request_id});
  const size_t size = response.body_owner ? response.shared_body.size() : response.body.size();
  std::optional<uint64_t> length;
  if (status_has_body(response.status)) {
    length = size;
    // What a GET would have, when the handler knows it without making the body.
    if (head_only_ && size == 0) length = stated_length(response.headers).value_or(0);
  }
  push(make_head(response.status, response.headers, length));
  if (body_allowed_) {
    if (response.body_owner) {
      bytes_out_ += size;
      out_.push_shared(std::move(response.body_owner), response.shared_body);
    } else {
      push(std::move(response.body));
    }
  }
  answered_ = exchange.self();
  answer_ended_ = true;
  flush();
}

bool Connection::start_stream(ServerExchange& exchange, int status, const Headers& headers) {
  if (!is_current(exchange.sequence()) || answer_begun_) {
    account(exchange, kStatusClientLeft);
    return false;
  }
  begin_answer(status, headers);
  tunnel_ = status == 101;
  if (tunnel_) keep_alive_ = false;
  std::optional<uint64_t> length;
  if (status_has_body(status)) length = stated_length(headers);
  if (body_allowed_) {
    length_left_ = length;
    chunked_out_ = !length && head_.version_minor >= 1;
    // An HTTP/1.0 client learns the end of the body from the end of the connection.
    if (!length && !chunked_out_) keep_alive_ = false;
  }
  push(make_head(status, headers, length));
  flush();
  return !closed_;
}

bool Connection::write_stream(uint64_t sequence, std::string chunk) {
  if (!is_current(sequence) || !answer_begun_ || answer_ended_) return false;
  if (chunk.empty() || !body_allowed_) return true;
  if (length_left_) {
    if (chunk.size() > *length_left_) {
      base::log_error("a response body is longer than its Content-Length");
      close();
      return false;
    }
    *length_left_ -= chunk.size();
  }
  if (chunked_out_) {
    push(chunk_size_line(chunk.size()));
    chunk += "\r\n";
  }
  push(std::move(chunk));
  flush();
  return !closed_;
}

void Connection::finish_stream(ServerExchange& exchange) {
  if (!is_current(exchange.sequence()) || !answer_begun_ || answer_ended_) return;
  if (length_left_.value_or(0) > 0) {
    base::log_error("a response body is shorter than its Content-Length");
    return abort(exchange);
  }
  if (chunked_out_) push("0\r\n\r\n");
  answered_ = exchange.self();
  answer_ended_ = true;
  flush();
}

bool Connection::write_tunnel(uint64_t sequence, std::string bytes) {
  if (!is_current(sequence) || answer_ended_) return false;
  if (!answer_begun_) begin_answer(101, {});
  tunnel_ = true;
  keep_alive_ = false;
  push(std::move(bytes));
  flush();
  return !closed_;
}

void Connection::abort(ServerExchange& exchange) {
  const bool current = is_current(exchange.sequence());
  account(exchange, current && answer_begun_ ? status_ : kStatusClientLeft);
  if (!current || answer_ended_) return;
  cut_ = true;
  if (answer_begun_ && !chunked_out_ && !length_left_) {
    // The end of the connection is the end of this body, so only a reset says that it was cut.
    error_code ignored;
    socket_->set_option(asio::socket_base::linger(true, 0), ignored);
  }
  close();
}

asio::awaitable<bool> Connection::drained(uint64_t sequence) {
  while (is_current(sequence) && !out_.empty()) co_await wait_for(out_signal_);
  co_return !closed_;
}

void Connection::send_continue() {
  continue_due_ = false;
  if (answer_begun_) return;
  out_.push("HTTP/1.1 100 Continue\r\n\r\n");
  flush();
}

void Connection::flush() {
  if (write_pending_ || closed_) return;
  switch (tls_ ? out_.flush(*tls_) : out_.flush(socket_->native_handle())) {
    case OutQueue::Progress::kBroken:
      return close();
    case OutQueue::Progress::kEmpty:
      write_deadline_us_ = 0;
      notify(out_signal_);
      if (answer_ended_) finish_request();
      return;
    case OutQueue::Progress::kBlocked:
      break;
  }
  write_pending_ = true;
  write_deadline_us_ = now_us() + thread_->rules().options.write_timeout_ms * 1000;
  if (::ioctl(socket_->native_handle(), SIOCOUTQ, &unsent_bytes_) != 0) unsent_bytes_ = 0;
  socket_->async_wait(tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) {
    self->write_pending_ = false;
    if (self->closed_) return;
    // Aborted: a read deadline cancelled what was pending; the answer still has to go out.
    if (error && error != asio::error::operation_aborted) return self->close();
    self->flush();
  });
}

void Connection::finish_request() {
  const auto exchange = std::exchange(answered_, nullptr);
  account(*exchange, status_);
  const bool again = keep_alive_ && body_done_ && !tunnel_ && !thread_->draining();
  ++sequence_;
  gone_callbacks_.clear();
  if (!again) {
    if (unread_input_ || !body_done_ || !in_.empty()) return linger();
    return close();
  }
  state_ = State::kHead;
  scanner_.reset();
  head_ = RequestHead{};
  chunks_ = ChunkDecoder{};
  answer_begun_ = answer_ended_ = chunked_out_ = head_begun_ = body_expired_ = head_only_ = probed_ = false;
  length_left_.reset();
  bytes_out_ = 0;
  read_deadline_us_ = now_us() + thread_->rules().options.idle_timeout_ms * 1000;
  advance();
}

void Connection::account(ServerExchange& exchange, int status) {
  if (!exchange.take_accounting()) return;
  thread_->counters.in_flight.fetch_sub(1, std::memory_order_relaxed);
  thread_->counters.requests.fetch_add(1, std::memory_order_relaxed);
  const AccessHook& access = thread_->rules().access;
  if (access)
    access(exchange, status, status == kStatusClientLeft ? 0 : bytes_out_, now_us() - exchange.started_us);
}

}  // namespace enhanced_gptcache::http
