// What a bare HTTP loop on one thread can do, before anything of ours runs in it: three ways of
// reading a POST and writing an answer over Boost.Asio. The figures decided which one
// src/http is built on (src/http/README.md).
//
//   http_loop beast|beast-parser|own PORT
//   enhanced-gptcache bench --server http://127.0.0.1:PORT --bodies FILE --connections 16

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/head_parser.h"

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using namespace enhanced_gptcache;

namespace {

const std::string& answer_body() {
  static const std::string body = [] {
    std::string text = R"({"id":"x","object":"chat.completion","choices":)"
                       R"([{"index":0,"message":{"role":"assistant","content":")";
    for (int i = 0; i < 23; ++i) text += "Paris is the capital. ";
    return text + R"("},"finish_reason":"stop"}]})";
  }();
  return body;
}

/// Beast's own message reading and writing, callbacks, the message types reused.
class BeastSession : public std::enable_shared_from_this<BeastSession> {
 public:
  explicit BeastSession(tcp::socket socket) : socket_(std::move(socket)) {}
  void run() {
    request_ = {};
    beast::http::async_read(socket_, buffer_, request_,
                            [self = shared_from_this()](error_code error, size_t) {
                              if (!error) self->answer();
                            });
  }

 private:
  void answer() {
    response_ = {};
    response_.set(beast::http::field::content_type, "application/json");
    response_.body() = answer_body();
    response_.prepare_payload();
    beast::http::async_write(socket_, response_, [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->run();
    });
  }
  tcp::socket socket_;
  beast::flat_buffer buffer_;
  beast::http::request<beast::http::string_body> request_;
  beast::http::response<beast::http::string_body> response_;
};

/// Beast's parser, which copies nothing here, fed from our own buffer.
class FieldParser : public beast::http::basic_parser<true> {
 public:
  size_t fields = 0;
  bool complete = false;

 private:
  using View = beast::string_view;
  void on_request_impl(beast::http::verb, View, View, int, error_code&) override {}
  void on_response_impl(int, View, int, error_code&) override {}
  void on_field_impl(beast::http::field, View, View, error_code&) override { ++fields; }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<uint64_t> const&, error_code&) override {}
  size_t on_body_impl(View bytes, error_code&) override { return bytes.size(); }
  void on_chunk_header_impl(uint64_t, View, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, View bytes, error_code&) override { return bytes.size(); }
  void on_finish_impl(error_code&) override { complete = true; }
};

/// Raw Asio reads, an immediate sendmsg, and one of the two parsers.
template <bool kOwn>
class RawSession : public std::enable_shared_from_this<RawSession<kOwn>> {
 public:
  explicit RawSession(tcp::socket socket) : socket_(std::move(socket)), buffer_(8192) {
    socket_.native_non_blocking(true);
  }
  void run() {
    socket_.async_read_some(asio::buffer(buffer_.data() + size_, buffer_.size() - size_),
                            [self = this->shared_from_this()](error_code error, size_t bytes) {
                              if (error) return;
                              self->size_ += bytes;
                              if (self->parse()) self->run();
                            });
  }

 private:
  bool parse() {
    if constexpr (kOwn) return parse_own();
    FieldParser parser;
    parser.eager(true);
    error_code error;
    parser.put(asio::buffer(buffer_.data(), size_), error);
    if (error && error != beast::http::error::need_more) return false;
    return parser.complete ? answer() : true;
  }
  bool parse_own() {
    http::HeadScanner scanner;
    const std::string_view bytes(buffer_.data(), size_);
    if (scanner.scan(bytes) != http::HeadScanner::State::kFound) return true;
    http::RequestHead head;
    std::vector<http::HeaderView> headers;
    headers.reserve(16);
    int status = 0;
    if (http::parse_request_head(bytes.substr(0, scanner.head_bytes()), head, headers, status) != nullptr)
      return false;
    if (size_ < scanner.head_bytes() + head.framing.content_length.value_or(0)) return true;
    return answer();
  }
  bool answer() {
    size_ = 0;
    head_ =
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: "
        "application/json\r\nContent-Length: ";
    head_ += std::to_string(answer_body().size());
    head_ += "\r\n\r\n";
    std::array<iovec, 2> parts{
        {{head_.data(), head_.size()}, {const_cast<char*>(answer_body().data()), answer_body().size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL) ==
           static_cast<ssize_t>(head_.size() + answer_body().size());
  }
  tcp::socket socket_;
  std::vector<char> buffer_;
  size_t size_ = 0;
  std::string head_;
};

template <typename Session>
void accept_next(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](error_code error, tcp::socket socket) {
    if (error) return;
    socket.set_option(tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket))->run();
    accept_next<Session>(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: http_loop beast|beast-parser|own PORT\n");
    return 2;
  }
  asio::io_context context(1);
  const auto port = static_cast<uint16_t>(std::atoi(argv[2]));
  tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), port});
  const std::string_view mode = argv[1];
  if (mode == "beast") accept_next<BeastSession>(acceptor);
  if (mode == "beast-parser") accept_next<RawSession<false>>(acceptor);
  if (mode == "own") accept_next<RawSession<true>>(acceptor);
  context.run();
  return 0;
}
