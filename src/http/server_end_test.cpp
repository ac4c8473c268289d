// Clients that half-close, and exchanges that outlive their server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <thread>

#include "http/server.h"
#include "http/test_peers.h"

namespace enhanced_gptcache::http {
namespace {

using testing::EndsWith;
using testing::StartsWith;
using testing_peers::eventually;
using testing_peers::Peer;

class ServerEndTest : public testing::Test {
 protected:
  void start() {
    ServerOptions options;
    options.port = 0;
    server_ = std::make_unique<Server>(options);
    server_->route("GET", "/hold", [this](const ExchangePtr& exchange) {
      exchange->on_client_gone([this] { ++gone_; });
      held_.set_value(exchange);
    });
    server_->route("GET", "/stream", [this](const ExchangePtr& exchange) {
      exchange->on_client_gone([this] { ++gone_; });
      asio::co_spawn(exchange->executor(), two_chunks(exchange), asio::detached);
    });
    server_->route("POST", "/echo", [](const ExchangePtr& exchange) { exchange->send({}); });
    server_->on_access([this](const Exchange&, int status, size_t, int64_t) { last_status_ = status; });
    ASSERT_TRUE(server_->start());
  }
  Peer ask(const std::string& method, const std::string& target, const std::string& rest = "\r\n",
           int version = 1) {
    Peer peer = Peer::connect_to(server_->port());
    peer.send(method + " " + target + " HTTP/1." + std::to_string(version) + "\r\nHost: a\r\n" + rest);
    return peer;
  }

  asio::awaitable<void> two_chunks(ExchangePtr exchange) {
    if (!co_await exchange->start(200, {}) || !co_await exchange->write("one")) co_return;
    asio::steady_timer timer(exchange->executor());
    while (!go_on_) {
      timer.expires_after(std::chrono::milliseconds(2));
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (co_await exchange->write("two")) co_await exchange->finish();
  }

  std::atomic<bool> go_on_{false};
  std::promise<ExchangePtr> held_;
  std::atomic<int> gone_{0}, last_status_{0};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerEndTest, AHalfClosedClientIsWaitedForAndAnswered) {
  start();
  auto held = held_.get_future();
  Peer peer = ask("GET", "/hold");
  const ExchangePtr exchange = held.get();
  peer.shutdown_send();
  EXPECT_EQ(peer.read_through("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n") << "asked whether it reads";
  EXPECT_FALSE(exchange->client_gone());
  EXPECT_EQ(gone_, 0);
  Response response;
  response.body = "late";
  exchange->send(std::move(response));
  const std::string answer = peer.read_to_end();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, EndsWith("late"));
  EXPECT_TRUE(eventually([&] { return last_status_ == 200; }));
}

TEST_F(ServerEndTest, AHalfCloseBetweenTwoChunksIsNoEnd) {
  start();
  Peer peer = ask("GET", "/stream");
  EXPECT_THAT(peer.read_through("one\r\n"), EndsWith("3\r\none\r\n"));
  peer.shutdown_send();
  EXPECT_EQ(peer.read_through("0"), "0") << "asked whether it reads";
  EXPECT_EQ(gone_, 0);
  go_on_ = true;
  EXPECT_EQ(peer.read_to_end(), "3\r\ntwo\r\n0\r\n\r\n") << "the size is 03 to the client";
}

TEST_F(ServerEndTest, AClientThatLeavesBetweenTwoChunksIsNoticed) {
  start();
  {
    Peer peer = ask("GET", "/stream");
    EXPECT_THAT(peer.read_through("one\r\n"), EndsWith("one\r\n"));
  }
  EXPECT_TRUE(eventually([&] { return gone_ == 1; }));
  go_on_ = true;
}

TEST_F(ServerEndTest, AHalfClosedClientOfHttp10GetsNothingButItsAnswer) {
  start();
  auto held = held_.get_future();
  Peer peer = ask("GET", "/hold", "\r\n", 0);
  const ExchangePtr exchange = held.get();
  peer.shutdown_send();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  exchange->send({});
  EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerEndTest, ABodyCutShortByAHalfCloseIsRefused) {
  start();
  Peer peer = ask("POST", "/echo", "Content-Length: 10\r\n\r\nhalf");
  peer.shutdown_send();
  EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 400 "));
  Peer chunked = ask("POST", "/echo", "Transfer-Encoding: chunked\r\n\r\n5\r\nhal");
  chunked.shutdown_send();
  EXPECT_THAT(chunked.read_to_end(), StartsWith("HTTP/1.1 400 "));
}

// What a pool, an embedder or a timer of another thread does with an exchange while the server goes: until
// the exchange is dropped its executor takes work, and destroys instead of running it.
TEST_F(ServerEndTest, AnExecutorMayBePostedToAfterTheServerHasStopped) {
  start();
  auto held = held_.get_future();
  Peer busy = ask("GET", "/hold");
  ExchangePtr exchange = held.get();
  std::atomic<bool> ran{false};
  const auto witness = std::make_shared<int>(0);
  const auto post = [&] { asio::post(exchange->executor(), [&ran, witness] { ran = true; }); };
  server_->drain(0);
  server_->stop();
  std::thread(post).join();
  EXPECT_EQ(witness.use_count(), 2) << "kept, not run";
  server_.reset();
  EXPECT_EQ(witness.use_count(), 1) << "destroyed with the server";
  const asio::any_io_executor executor = exchange->executor();
  std::thread(post).join();
  {
    asio::steady_timer timer(executor, std::chrono::milliseconds(1));
    timer.async_wait([&ran](const auto&) { ran = true; });
  }
  exchange.reset();
  held_ = {};
  held = {};
  EXPECT_EQ(witness.use_count(), 1);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace enhanced_gptcache::http
