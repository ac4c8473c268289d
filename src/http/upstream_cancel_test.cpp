// Requests to upstreams whose caller leaves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <thread>

#include "http/test_peers.h"
#include "http/upstream.h"

namespace enhanced_gptcache::http {
namespace {

using testing_peers::eventually;
using testing_peers::Peer;
using testing_peers::run_on;
using testing_peers::ScriptedServer;

/// "200 body", or "code: message".
asio::awaitable<std::string> fetch(std::shared_ptr<UpstreamClient> client, UpstreamRequest request) {
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response)
    co_return std::to_string(static_cast<int>(response.error().code)) + ": " + response.error().message;
  std::string out = std::to_string((*response)->status()) + " ";
  for (;;) {
    Result<std::string> piece = co_await (*response)->read();
    if (!piece) co_return std::to_string(static_cast<int>(piece.error().code)) + ": " + piece.error().message;
    if (piece->empty()) co_return out;
    out += *piece;
  }
}

std::string code(ErrorCode error_code) { return std::to_string(static_cast<int>(error_code)) + ": "; }

std::string answer(int status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// A port on which nothing listens.
uint16_t closed_port() {
  ScriptedServer server([](Peer&, int) {});
  return server.port();
}

class UpstreamCancelTest : public testing::Test {
 protected:
  void connect(const std::string& url) {
    options_.default_target = {"default", url, ""};
    auto client = UpstreamClient::create(options_);
    ASSERT_TRUE(client) << client.error().message;
    client_ = *client;
  }
  std::string ask() {
    UpstreamRequest request;
    request.path = "/x";
    request.body = "{}";
    return run_on(context_, fetch(client_, std::move(request)));
  }
  UpstreamStats stats() { return client_->stats().at("default"); }

  asio::io_context context_{1};
  UpstreamOptions options_ = [] {
    UpstreamOptions options;
    options.retry_base_ms = 1;
    options.breaker_failures = 100;
    return options;
  }();
  std::shared_ptr<UpstreamClient> client_;
};

asio::awaitable<std::string> read_after_cancel(std::shared_ptr<UpstreamClient> client,
                                               std::shared_ptr<std::thread> other) {
  UpstreamRequest request;
  request.path = "/x";
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response) co_return response.error().message;
  UpstreamResponse* raw = response->get();
  *other = std::thread([raw] { raw->cancel(); });
  for (;;) {
    Result<std::string> piece = co_await (*response)->read();
    if (!piece) co_return std::to_string(static_cast<int>(piece.error().code)) + ": " + piece.error().message;
    if (piece->empty()) co_return "complete";
  }
}

TEST_F(UpstreamCancelTest, CancelEndsAPendingReadFromAnotherThread) {
  std::atomic<bool> closed{false};
  ScriptedServer server([&](Peer& peer, int) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    closed = !peer.receive();
  });
  connect(server.url());
  auto other = std::make_shared<std::thread>();
  EXPECT_EQ(run_on(context_, read_after_cancel(client_, other)), code(ErrorCode::kUnavailable) + "cancelled");
  other->join();
  EXPECT_TRUE(eventually([&] { return closed.load(); }));
  EXPECT_EQ(stats().errors, 0U);
}

asio::awaitable<std::string> fetch_and_tell(std::shared_ptr<UpstreamClient> client, UpstreamRequest request,
                                            bool* begun) {
  *begun = true;
  co_return co_await fetch(std::move(client), std::move(request));
}

/// Runs a request and cancels its coroutine after so many handlers of the context have run. It must have
/// begun: cancelled before that, Asio 1.81 throws out of co_spawn itself.
void cancel_after(asio::io_context& context, const std::shared_ptr<UpstreamClient>& client, int steps) {
  UpstreamRequest request;
  request.path = "/x";
  asio::cancellation_signal signal;
  bool done = false, begun = false;
  asio::co_spawn(context, fetch_and_tell(client, std::move(request), &begun),
                 asio::bind_cancellation_slot(
                     signal.slot(), [&](const std::exception_ptr&, const std::string&) { done = true; }));
  context.restart();
  while (!begun) context.run_one();
  for (int i = 0; i < steps && !done; ++i) context.run_one_for(std::chrono::milliseconds(20));
  if (!done) signal.emit(asio::cancellation_type::terminal);
  for (int i = 0; i < 1000 && !done; ++i) context.run_one_for(std::chrono::milliseconds(20));
  // Asio sends the cancellation through the context, where it may still wait and needs the signal.
  context.restart();
  context.poll();
  EXPECT_TRUE(done) << "cancelled after " << steps << " steps";
}

TEST_F(UpstreamCancelTest, ACoroutineMayBeCancelledAtAnyAwait) {
  ScriptedServer server([](Peer& peer, int) {
    while (!peer.read_message().empty()) {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
      peer.send("1\r\nb\r\n0\r\n\r\n");
    }
  });
  connect(server.url());
  for (int steps = 0; steps < 12; ++steps) cancel_after(context_, client_, steps);
  connect("http://127.0.0.1:" + std::to_string(closed_port()));
  options_.retry_base_ms = 50;
  ASSERT_TRUE(client_->set_options(options_));
  for (int steps = 0; steps < 6; ++steps) cancel_after(context_, client_, steps);
  connect(server.url());
  EXPECT_EQ(ask(), "200 ab");
}

TEST_F(UpstreamCancelTest, ACancelledProbeGivesItsPlaceBack) {
  std::atomic<bool> silent{false};
  ScriptedServer server([&](Peer& peer, int) {
    while (!peer.read_message().empty()) {
      if (!silent) peer.send(answer(500, "bad"));
    }
  });
  options_.breaker_failures = 1;
  options_.breaker_open_ms = 1;
  connect(server.url());
  EXPECT_EQ(ask(), "500 bad");
  silent = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  cancel_after(context_, client_, 4);
  silent = false;
  EXPECT_TRUE(eventually([&] { return ask() == "500 bad"; }));
}

}  // namespace
}  // namespace enhanced_gptcache::http
