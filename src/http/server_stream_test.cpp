// Streams, unbuffered bodies, tunnels, clients that leave, and the drain.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "http/server.h"
#include "http/test_peers.h"

namespace enhanced_gptcache::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using testing_peers::eventually;
using testing_peers::Peer;

using Coroutine = asio::awaitable<void> (*)(ExchangePtr);

Handler spawning(Coroutine coroutine) {
  return [coroutine](const ExchangePtr& exchange) {
    asio::co_spawn(exchange->executor(), coroutine(exchange), asio::detached);
  };
}

/// g++ 12 miscompiles initializer lists inside a co_await expression, hence this and the named locals.
Headers one_header(const char* name, const char* value) {
  Headers headers;
  headers.push_back({name, value});
  return headers;
}

std::vector<std::string> three_pieces() { return {"data: 1\n\n", "", "data: 22\n\n"}; }

asio::awaitable<void> stream_three(ExchangePtr exchange) {
  Headers headers = one_header("Content-Type", "text/event-stream");
  co_await exchange->start(200, std::move(headers));
  std::vector<std::string> pieces = three_pieces();
  for (std::string& piece : pieces) co_await exchange->write(std::move(piece));
  co_await exchange->finish();
}

asio::awaitable<void> stream_stated(ExchangePtr exchange) {
  const std::string which(exchange->request().query);
  Headers headers = one_header("Content-Length", "10");
  co_await exchange->start(200, std::move(headers));
  std::string chunk = which == "short" ? "12345" : which == "long" ? "12345678901" : "1234567890";
  co_await exchange->write(std::move(chunk));
  co_await exchange->finish();
}

asio::awaitable<void> stream_cut(ExchangePtr exchange) {
  Headers headers;
  co_await exchange->start(200, std::move(headers));
  std::string chunk = "half";
  co_await exchange->write(std::move(chunk));
  if (exchange->request().query == "abort") exchange->abort();
  // Otherwise dropping the exchange is what cuts the answer.
}

std::atomic<uint64_t> pumped_bytes{0};

asio::awaitable<void> pump(ExchangePtr exchange) {
  Headers headers;
  co_await exchange->start(200, std::move(headers));
  pumped_bytes = 0;
  for (int i = 0; i < 4096; ++i) {
    std::string chunk(16384, 'x');
    const bool taken = co_await exchange->write(std::move(chunk));
    if (!taken) co_return;
    pumped_bytes += 16384;
  }
  co_await exchange->finish();
}

asio::awaitable<void> count_body(ExchangePtr exchange) {
  size_t bytes = 0;
  Response response;
  for (;;) {
    Result<std::string> piece = co_await exchange->read_body();
    if (!piece) {
      response.status = piece.error().code == ErrorCode::kDeadline ? 408 : 400;
      response.body = piece.error().message;
      break;
    }
    if (piece->empty()) {
      response.body = "bytes " + std::to_string(bytes);
      break;
    }
    bytes += piece->size();
  }
  exchange->send(std::move(response));
}

asio::awaitable<void> echo_tunnel(ExchangePtr exchange) {
  Headers headers = one_header("Upgrade", "websocket");
  headers.push_back({"Connection", "Upgrade"});
  co_await exchange->start(101, std::move(headers));
  for (;;) {
    Result<std::string> bytes = co_await exchange->read_raw();
    if (!bytes || bytes->empty()) break;
    std::string echo = "<" + *bytes + ">";
    const bool taken = co_await exchange->write_raw(std::move(echo));
    if (!taken) break;
  }
  co_await exchange->finish();
}

class ServerStreamTest : public testing::Test {
 protected:
  void start() {
    server_ = std::make_unique<Server>(options_);
    server_->route("*", "/stream", spawning(stream_three));
    server_->route("GET", "/stated", spawning(stream_stated));
    server_->route("GET", "/cut", spawning(stream_cut));
    server_->route("GET", "/pump", spawning(pump));
    server_->route("POST", "/count", spawning(count_body), RouteOptions{false});
    server_->route(
        "POST", "/ignore", [](const ExchangePtr& exchange) { exchange->send({}); }, RouteOptions{false});
    server_->route("GET", "/ws", spawning(echo_tunnel), RouteOptions{false});
    server_->route("GET", "/hold", [this](const ExchangePtr& exchange) {
      exchange->on_client_gone([this] { ++gone_; });
      held_.set_value(exchange);
    });
    server_->route("GET", "/fast", [](const ExchangePtr& exchange) { exchange->send({}); });
    server_->on_access([this](const Exchange& exchange, int status, size_t bytes, int64_t) {
      const std::lock_guard lock(mutex_);
      last_ = std::string(exchange.request().path) + " " + std::to_string(status);
      last_bytes_ = bytes;
      ++accesses_;
    });
    ASSERT_TRUE(server_->start());
  }
  Peer ask(const std::string& method, const std::string& target, const std::string& rest = "\r\n",
           int version = 1) {
    Peer peer = Peer::connect_to(server_->port());
    peer.send(method + " " + target + " HTTP/1." + std::to_string(version) + "\r\nHost: a\r\n" + rest);
    return peer;
  }
  std::string last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  ServerOptions options_ = [] {
    ServerOptions options;
    options.port = 0;
    return options;
  }();
  std::promise<ExchangePtr> held_;
  std::atomic<int> gone_{0};
  std::atomic<int> accesses_{0};
  std::mutex mutex_;
  std::string last_;
  size_t last_bytes_ = 0;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerStreamTest, ChunksOnHttp11AndTheEndOfTheConnectionOnHttp10) {
  start();
  Peer modern = ask("GET", "/stream");
  EXPECT_THAT(modern.read_message(), EndsWith("\r\n\r\n9\r\ndata: 1\n\n\r\na\r\ndata: 22\n\n\r\n0\r\n\r\n"));
  modern.send("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(modern.read_message(), StartsWith("HTTP/1.1 200 ")) << "the connection is still good";
  Peer old = ask("GET", "/stream", "Connection: keep-alive\r\n\r\n", 0);
  EXPECT_THAT(old.read_to_end(), EndsWith("Connection: close\r\n\r\ndata: 1\n\ndata: 22\n\n"));
  Peer head = ask("HEAD", "/stream");
  EXPECT_THAT(head.read_through("\r\n\r\n"), testing::Not(HasSubstr("Content-Length")));
  EXPECT_TRUE(eventually([&] { return accesses_ == 4; }));
  EXPECT_EQ(server_->stats().in_flight, 0U);
}

TEST_F(ServerStreamTest, AStatedLengthIsKeptOrTheConnectionIsCut) {
  start();
  Peer good = ask("GET", "/stated");
  EXPECT_THAT(good.read_message(), EndsWith("Content-Length: 10\r\n\r\n1234567890"));
  Peer too_short = ask("GET", "/stated?short");
  EXPECT_THAT(too_short.read_to_end(), EndsWith("\r\n\r\n12345"));
  Peer too_long = ask("GET", "/stated?long");
  EXPECT_THAT(too_long.read_to_end(), EndsWith("Content-Length: 10\r\n\r\n"));
}

TEST_F(ServerStreamTest, ACutStreamDoesNotLookComplete) {
  start();
  for (const char* target : {"/cut", "/cut?abort"}) {
    Peer peer = ask("GET", target);
    EXPECT_THAT(peer.read_to_end(), EndsWith("\r\n\r\n4\r\nhalf\r\n")) << target;
    Peer old = ask("GET", target, "\r\n", 0);
    old.read_to_end();
    EXPECT_TRUE(old.was_reset()) << "without chunks only a reset tells";
  }
  EXPECT_TRUE(eventually([&] { return accesses_ == 4 && server_->stats().connections == 0; }));
}

TEST_F(ServerStreamTest, AStreamWaitsForAClientThatReadsSlowly) {
  start();
  Peer peer = Peer::connect_to(server_->port(), 16384);
  peer.send("GET /pump HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_FALSE(peer.read_through("\r\n\r\n").empty());
  uint64_t before = 1;
  EXPECT_TRUE(eventually([&] {
    const uint64_t now = pumped_bytes;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return now > 0 && now == std::exchange(before, now) && now == pumped_bytes;
  })) << "the handler is not held up";
  EXPECT_LT(pumped_bytes, uint64_t{32} << 20U);
  while (!peer.received().ends_with("\r\n0\r\n\r\n") && peer.receive()) {
  }
  EXPECT_GT(peer.received().size(), size_t{64} << 20U);
  EXPECT_EQ(pumped_bytes, uint64_t{64} << 20U);
}

TEST_F(ServerStreamTest, AHandlerReadsAnUnbufferedBody) {
  options_.body_bytes_max = 10;
  start();
  const std::string body(200'000, 'b');
  Peer stated = ask("POST", "/count", "Content-Length: 200000\r\n\r\n" + body);
  EXPECT_THAT(stated.read_message(), EndsWith("bytes 200000")) << "the limit is for buffered bodies only";
  stated.send("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + body +
              "\r\n0\r\n\r\n");
  EXPECT_THAT(stated.read_message(), EndsWith("bytes 200000")) << "and the connection is still good";
  stated.send("POST /count HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(stated.read_message(), EndsWith("bytes 0"));
  Peer awaited = ask("POST", "/count", "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(awaited.read_through("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  awaited.send("abc");
  EXPECT_THAT(awaited.read_message(), EndsWith("bytes 3"));
}

TEST_F(ServerStreamTest, ABadOrSlowUnbufferedBodyIsAnErrorOfTheHandler) {
  options_.body_timeout_ms = 40;
  start();
  Peer bad = ask("POST", "/count", "Transfer-Encoding: chunked\r\n\r\nx\r\n");
  EXPECT_THAT(bad.read_message(), StartsWith("HTTP/1.1 400 "));
  Peer cut = ask("POST", "/count", "Content-Length: 3\r\n\r\na");
  cut.shutdown_send();
  EXPECT_THAT(cut.read_message(), EndsWith("the request body ends too early"));
  Peer slow = ask("POST", "/count", "Content-Length: 3\r\n\r\na");
  EXPECT_THAT(slow.read_message(), StartsWith("HTTP/1.1 408 "));
  Peer ignored = ask("POST", "/ignore", "Content-Length: 100000\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_THAT(ignored.read_message(), HasSubstr("Connection: close\r\n"))
      << "an unread body ends the connection, after the answer";
}

TEST_F(ServerStreamTest, TunnelsPassRawBytes) {
  start();
  Peer peer = ask("GET", "/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  EXPECT_THAT(peer.read_through("\r\n\r\n"), HasSubstr("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_EQ(peer.read_through(">"), "<early>");
  peer.send("more");
  EXPECT_EQ(peer.read_through(">"), "<more>");
  peer.shutdown_send();
  EXPECT_TRUE(peer.at_end());
}

TEST_F(ServerStreamTest, AClientThatLeavesIsNoticedWhileTheHandlerWorks) {
  start();
  auto held = held_.get_future();
  {
    Peer peer = ask("GET", "/hold");
    const ExchangePtr exchange = held.get();
    EXPECT_FALSE(exchange->client_gone());
    peer.close();
    EXPECT_TRUE(eventually([&] { return exchange->client_gone() && gone_ == 1; }));
    std::promise<void> called;
    asio::post(exchange->executor(), [&] { exchange->on_client_gone([&] { called.set_value(); }); });
    called.get_future().get();
    exchange->send({});
  }
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  held_ = {};
  held = held_.get_future();
  Peer peer = ask("GET", "/hold", "\r\n" + std::string("GET /fast HTTP/1.1\r\nHost: a\r\n\r\n"));
  const ExchangePtr exchange = held.get();
  peer.reset();
  EXPECT_TRUE(eventually([&] { return exchange->client_gone() && gone_ == 2; }))
      << "pipelined bytes do not hide it";
  exchange->send({});
  EXPECT_TRUE(eventually([&] { return last() == "/hold 499"; }));
}

TEST_F(ServerStreamTest, PipelinedBytesAreNotReadWithoutBound) {
  start();
  auto held = held_.get_future();
  Peer peer = ask("GET", "/hold");
  const ExchangePtr exchange = held.get();
  std::string flood;
  while (flood.size() < size_t{64} << 20U)
    flood += "GET /fast HTTP/1.1\r\nHost: a\r\nX: " + std::string(8000, 'x') + "\r\n\r\n";
  size_t sent = 0;
  for (int quiet = 0; quiet < 20 && sent < flood.size();) {
    const ssize_t count =
        ::send(peer.socket(), flood.data() + sent, flood.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += count > 0 ? static_cast<size_t>(count) : 0;
    quiet = count > 0 ? 0 : quiet + 1;
    if (count <= 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_LT(sent, flood.size()) << "the kernel's buffers fill up, because nobody reads";
  exchange->send({});
  EXPECT_THAT(peer.read_message(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(peer.read_message(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerStreamTest, DrainLetsRunningRequestsEndAndClosesTheRest) {
  start();
  auto held = held_.get_future();
  Peer idle = ask("GET", "/fast");
  idle.read_message();
  Peer busy = ask("GET", "/hold");
  ExchangePtr exchange = held.get();
  std::thread drain([&] { server_->drain(testing_peers::kPatienceMs); });
  EXPECT_TRUE(idle.at_end());
  Response response;
  response.body = "done";
  exchange->send(std::move(response));
  exchange.reset();
  const std::string answer = busy.read_message();
  EXPECT_THAT(answer, EndsWith("done"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(busy.at_end());
  drain.join();
  EXPECT_EQ(server_->stats().connections, 0U);
}

TEST_F(ServerStreamTest, DrainCutsWhatTakesTooLongAndLateExchangesAreHarmless) {
  start();
  auto held = held_.get_future();
  Peer busy = ask("GET", "/hold");
  const ExchangePtr exchange = held.get();
  server_->drain(20);
  EXPECT_TRUE(busy.at_end());
  server_.reset();
  EXPECT_TRUE(exchange->client_gone());
  exchange->send({});
}

}  // namespace
}  // namespace enhanced_gptcache::http
