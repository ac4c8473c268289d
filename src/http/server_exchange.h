#pragma once
// The Exchange a handler gets. It owns the bytes of its request, so that they stay valid for as long
// as the handler keeps it, however far the connection has gone on. Internal to src/http.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "http/byte_buffer.h"
#include "http/connection.h"
#include "http/exchange.h"

namespace enhanced_gptcache::http {

class ServerExchange final : public Exchange {
 public:
  ServerExchange(std::shared_ptr<Connection> connection, uint64_t sequence);
  /// Without an answer: 500; in the middle of one: the connection is cut.
  ~ServerExchange() override;

  const Request& request() const override { return request_; }
  asio::any_io_executor executor() const override;
  void send(Response response) override;
  asio::awaitable<bool> start(int status, Headers headers) override;
  asio::awaitable<bool> write(std::string chunk) override;
  asio::awaitable<void> finish() override;
  void abort() override;
  asio::awaitable<Result<std::string>> read_body() override;
  asio::awaitable<Result<std::string>> read_raw() override;
  asio::awaitable<bool> write_raw(std::string bytes) override;
  bool client_gone() const override { return connection_->gone(); }
  void on_client_gone(std::function<void()> callback) override;

  // For the connection.
  Request& mutable_request() { return request_; }
  ByteBuffer& bytes() { return bytes_; }
  std::string& body() { return body_; }
  std::shared_ptr<ServerExchange> self() {
    return std::static_pointer_cast<ServerExchange>(shared_from_this());
  }
  uint64_t sequence() const { return sequence_; }
  /// The request hook has let it through already.
  bool admitted = false;
  /// True the first time: each request is counted and logged once.
  bool take_accounting() { return !accounted_.exchange(true, std::memory_order_acq_rel); }

 private:
  bool take_answer() { return !answer_taken_.exchange(true, std::memory_order_acq_rel); }

  const std::shared_ptr<Connection> connection_;
  const uint64_t sequence_;
  Request request_;
  ByteBuffer bytes_;
  std::string body_;
  std::atomic<bool> answer_taken_{false};
  std::atomic<bool> accounted_{false};
};

}  // namespace enhanced_gptcache::http
