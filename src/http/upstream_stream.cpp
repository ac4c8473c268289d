#include "http/upstream_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "http/server_thread.h"

namespace enhanced_gptcache::http {

using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

bool is_address(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

/// Lets OpenSSL itself compare names, so that a mismatch is reported as one.
bool expect_peer(SSL* ssl, const std::string& host) {
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

}  // namespace

struct UpstreamStream::Tls {
  Tls(asio::ip::tcp::socket& socket, asio::ssl::context& context) : stream(socket, context) {}
  asio::ssl::stream<asio::ip::tcp::socket&> stream;
};

UpstreamStream::UpstreamStream(asio::any_io_executor executor) : socket_(executor), timer_(executor) {}

UpstreamStream::~UpstreamStream() = default;

asio::awaitable<IoOutcome> UpstreamStream::handshake(asio::ssl::context& context, std::string host) {
  tls_ = std::make_unique<Tls>(socket_, context);
  if (!expect_peer(tls_->stream.native_handle(), host)) {
    IoOutcome refused;
    refused.kind = IoOutcome::Kind::kFailed;
    refused.message = "the host name cannot be used for TLS";
    co_return refused;
  }
  auto [error] = co_await tls_->stream.async_handshake(asio::ssl::stream_base::client, kAwait);
  co_return outcome(error, 0);
}

asio::awaitable<IoOutcome> UpstreamStream::read_some(char* into, size_t bytes_max, int64_t timeout_ms) {
  arm(read_due_us_, timeout_ms);
  error_code error;
  size_t count = 0;
  if (tls_) {
    auto [e, n] = co_await tls_->stream.async_read_some(asio::buffer(into, bytes_max), kAwait);
    error = e;
    count = n;
  } else {
    auto [e, n] = co_await socket_.async_read_some(asio::buffer(into, bytes_max), kAwait);
    error = e;
    count = n;
  }
  read_due_us_ = kNever;
  co_return outcome(error, count);
}

asio::awaitable<IoOutcome> UpstreamStream::write_all(std::vector<asio::const_buffer> buffers,
                                                     int64_t timeout_ms) {
  size_t written = 0;
  for (asio::const_buffer buffer : buffers) {
    while (buffer.size() > 0) {
      arm(write_due_us_, timeout_ms);
      error_code error;
      size_t count = 0;
      if (tls_) {
        auto [e, n] = co_await tls_->stream.async_write_some(buffer, kAwait);
        error = e;
        count = n;
      } else {
        auto [e, n] = co_await socket_.async_write_some(buffer, kAwait);
        error = e;
        count = n;
      }
      written += count;
      buffer += count;
      write_due_us_ = kNever;
      if (error) co_return outcome(error, written);
    }
  }
  co_return outcome({}, written);
}

IoOutcome UpstreamStream::outcome(const error_code& error, size_t bytes) const {
  IoOutcome result;
  result.bytes = bytes;
  if (!error) return result;
  result.message = describe(error);
  if (cancelled_) {
    result.kind = IoOutcome::Kind::kCancelled;
  } else if (expired_) {
    result.kind = IoOutcome::Kind::kExpired;
  } else if (error == asio::error::operation_aborted) {
    result.kind = IoOutcome::Kind::kCancelled;
  } else if (error == asio::error::eof) {
    result.kind = IoOutcome::Kind::kEnd;
  } else if (error == asio::ssl::error::stream_truncated) {
    result.kind = IoOutcome::Kind::kTruncated;
  } else {
    result.kind = IoOutcome::Kind::kFailed;
  }
  return result;
}

std::string UpstreamStream::describe(const error_code& error) const {
  if (tls_ && error.category() == asio::error::get_ssl_category()) {
    const long verify = SSL_get_verify_result(tls_->stream.native_handle());
    if (verify != X509_V_OK)
      return std::string("the certificate was refused: ") + X509_verify_cert_error_string(verify);
  }
  return error.message();
}

void UpstreamStream::arm(int64_t& due_us, int64_t timeout_ms) {
  due_us = now_us() + timeout_ms * 1000;
  // The timer is only moved when it would come too late; when it comes too early it looks again.
  if (due_us < timer_due_us_) start_timer(due_us);
}

void UpstreamStream::start_timer(int64_t due_us) {
  timer_due_us_ = due_us;
  timer_.expires_after(std::chrono::microseconds(std::max<int64_t>(due_us - now_us(), 0)));
  timer_.async_wait([weak = weak_from_this()](const error_code& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->on_timer();
  });
}

void UpstreamStream::on_timer() {
  timer_due_us_ = kNever;
  const int64_t due = std::min(read_due_us_, write_due_us_);
  if (due == kNever) return;
  if (now_us() < due) return start_timer(due);
  expired_ = true;
  close();
}

void UpstreamStream::cancel() {
  cancelled_ = true;
  close();
}

void UpstreamStream::close() {
  rest();
  error_code ignored;
  socket_.close(ignored);
}

void UpstreamStream::rest() {
  timer_.cancel();
  timer_due_us_ = read_due_us_ = write_due_us_ = kNever;
}

bool UpstreamStream::is_quiet() {
  if (!socket_.is_open()) return false;
  char byte = 0;
  const ssize_t count = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  error_code error;
  context->set_default_verify_paths(error);
  context->set_verify_mode(asio::ssl::verify_peer, error);
  if (!ca_file.empty()) {
    context->load_verify_file(ca_file, error);
    if (error) {
      return fail(ErrorCode::kInvalidArgument,
                  "upstream.ca_file \"" + ca_file + "\" cannot be used: " + error.message());
    }
  }
  ERR_clear_error();
  return context;
}

}  // namespace enhanced_gptcache::http
