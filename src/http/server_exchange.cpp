#include "http/server_exchange.h"

#include <utility>

namespace enhanced_gptcache::http {

ServerExchange::ServerExchange(std::shared_ptr<Connection> connection, uint64_t sequence)
    : connection_(std::move(connection)), sequence_(sequence) {}

ServerExchange::~ServerExchange() {
  if (accounted_.load(std::memory_order_acquire) || connection_->thread().is_shut_down()) return;
  // The handler let go without a whole answer. The connection still needs an Exchange to answer or to
  // log, so an heir takes over what this one owned.
  auto heir = std::make_shared<ServerExchange>(connection_, sequence_);
  heir->request_ = std::move(request_);
  heir->request_.body = {};
  heir->bytes_ = std::move(bytes_);
  heir->notes = std::move(notes);
  heir->pass = std::move(pass);
  heir->started_us = started_us;
  if (answer_taken_.load(std::memory_order_acquire)) {
    heir->abort();
  } else {
    heir->send(
        connection_->thread().rules().make_error(500, "the server gave no answer", heir->request_.path));
  }
}

asio::any_io_executor ServerExchange::executor() const {
  return connection_->thread().context().get_executor();
}

void ServerExchange::send(Response response) {
  if (!take_answer()) return;
  if (connection_->thread().on_thread()) {
    connection_->send(*this, std::move(response));
    return;
  }
  auto shared = std::make_shared<Response>(std::move(response));
  connection_->thread().post([self = self(), shared] { self->connection_->send(*self, std::move(*shared)); });
}

asio::awaitable<bool> ServerExchange::start(int status, Headers headers) {
  const auto self = shared_from_this();
  if (!take_answer()) co_return false;
  co_return connection_->start_stream(*this, status, headers);
}

asio::awaitable<bool> ServerExchange::write(std::string chunk) {
  const auto self = shared_from_this();
  if (!connection_->write_stream(sequence_, std::move(chunk))) co_return false;
  co_return co_await connection_->drained(sequence_);
}

asio::awaitable<void> ServerExchange::finish() {
  const auto self = shared_from_this();
  connection_->finish_stream(*this);
  co_return;
}

void ServerExchange::abort() {
  answer_taken_.store(true, std::memory_order_release);
  if (connection_->thread().on_thread()) {
    connection_->abort(*this);
  } else {
    connection_->thread().post([self = self()] { self->connection_->abort(*self); });
  }
}

asio::awaitable<Result<std::string>> ServerExchange::read_body() {
  const auto self = shared_from_this();
  co_return co_await connection_->next_body(sequence_);
}

asio::awaitable<Result<std::string>> ServerExchange::read_raw() {
  const auto self = shared_from_this();
  co_return co_await connection_->next_raw(sequence_);
}

asio::awaitable<bool> ServerExchange::write_raw(std::string bytes) {
  const auto self = shared_from_this();
  answer_taken_.store(true, std::memory_order_release);
  if (!connection_->write_tunnel(sequence_, std::move(bytes))) co_return false;
  co_return co_await connection_->drained(sequence_);
}

void ServerExchange::on_client_gone(std::function<void()> callback) {
  connection_->on_gone(sequence_, std::move(callback));
}

}  // namespace enhanced_gptcache::http
