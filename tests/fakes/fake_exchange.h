#pragma once
// An Exchange without a socket: a request in, what the handler answers recorded. Runs on the
// executor of the io_context it is given.

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "http/exchange.h"

namespace enhanced_gptcache::fakes {

class FakeExchange final : public http::Exchange {
 public:
  FakeExchange(boost::asio::io_context& io, std::string method, std::string target,
               http::Headers headers = {}, std::string body = {})
      : io_(io),
        method_(std::move(method)),
        target_(std::move(target)),
        headers_(std::move(headers)),
        body_(std::move(body)) {
    request_.method = method_;
    request_.target = target_;
    const size_t mark = target_.find('?');
    request_.path = std::string_view(target_).substr(0, mark);
    if (mark != std::string::npos) request_.query = std::string_view(target_).substr(mark + 1);
    for (const http::Header& header : headers_) request_.headers.push_back({header.name, header.value});
    request_.body = body_;
    request_.peer = "127.0.0.1";
  }

  // Exchange.
  const http::Request& request() const override { return request_; }
  http::asio::any_io_executor executor() const override { return io_.get_executor(); }
  void send(http::Response response) override {
    ++answers;
    status = response.status;
    answer_headers = std::move(response.headers);
    answer_body = response.body_owner ? std::string(response.shared_body) : std::move(response.body);
    sent_whole = finished = true;
  }
  http::asio::awaitable<bool> start(int code, http::Headers headers) override {
    ++answers;
    if (gone_) co_return false;
    status = code;
    answer_headers = std::move(headers);
    co_return true;
  }
  http::asio::awaitable<bool> write(std::string chunk) override {
    if (gone_ || aborted) co_return false;
    writes.push_back(chunk);
    answer_body += chunk;
    if (after_write) after_write();
    co_return !gone_;
  }
  http::asio::awaitable<void> finish() override {
    finished = true;
    co_return;
  }
  void abort() override { aborted = true; }
  http::asio::awaitable<Result<std::string>> read_body() override {
    if (body_pieces.empty()) co_return std::string();
    std::string piece = std::move(body_pieces.front());
    body_pieces.pop_front();
    co_return piece;
  }
  http::asio::awaitable<Result<std::string>> read_raw() override {
    if (raw_in.empty()) co_return std::string();
    std::string piece = std::move(raw_in.front());
    raw_in.pop_front();
    co_return piece;
  }
  http::asio::awaitable<bool> write_raw(std::string bytes) override {
    raw_out += bytes;
    co_return true;
  }
  bool client_gone() const override { return gone_; }
  void on_client_gone(std::function<void()> callback) override {
    if (gone_)
      callback();
    else
      gone_callback_ = std::move(callback);
  }

  /// The client closes its connection now. On the executor.
  void leave() {
    gone_ = true;
    if (gone_callback_) std::exchange(gone_callback_, nullptr)();
  }

  std::string header(std::string_view name) const {
    const std::string* found = http::find_header(answer_headers, name);
    return found == nullptr ? std::string() : *found;
  }
  bool done() const { return finished || aborted; }

  int answers = 0;
  int status = 0;
  http::Headers answer_headers;
  std::string answer_body;
  std::vector<std::string> writes;
  bool sent_whole = false, finished = false, aborted = false;
  std::deque<std::string> body_pieces, raw_in;
  std::string raw_out;
  std::function<void()> after_write;

 private:
  boost::asio::io_context& io_;
  const std::string method_, target_;
  const http::Headers headers_;
  const std::string body_;
  http::Request request_;
  bool gone_ = false;
  std::function<void()> gone_callback_;
};

}  // namespace enhanced_gptcache::fakes
