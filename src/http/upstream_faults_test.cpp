// What the upstream client does when upstreams fail: retries, fallbacks, breaker, timeouts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "http/test_peers.h"
#include "http/upstream.h"

namespace enhanced_gptcache::http {
namespace {

using testing::HasSubstr;
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

/// Answers the requests it gets, over all connections, with these one after the other; the last one goes on.
class Sequence {
 public:
  explicit Sequence(std::vector<std::string> answers) : answers_(std::move(answers)) {}
  void operator()(Peer& peer, int) {
    while (!peer.read_message().empty()) {
      const size_t i = std::min<size_t>(next_++, answers_.size() - 1);
      if (answers_[i].empty()) return;  // closes without an answer
      peer.send(answers_[i]);
      if (answers_[i].ends_with("cut")) return;
    }
  }
  size_t requests() const { return next_; }

 private:
  std::vector<std::string> answers_;
  std::atomic<size_t> next_{0};
};

/// A port on which nothing listens.
uint16_t closed_port() {
  ScriptedServer server([](Peer&, int) {});
  return server.port();
}

class UpstreamFaultsTest : public testing::Test {
 protected:
  void connect(const std::string& url) {
    options_.default_target = {"default", url, ""};
    auto client = UpstreamClient::create(options_);
    ASSERT_TRUE(client) << client.error().message;
    client_ = *client;
  }
  std::string ask(bool retry_allowed = true, const std::string& model = "") {
    UpstreamRequest request;
    request.path = "/x";
    request.body = "{}";
    request.model = model;
    request.retry_allowed = retry_allowed;
    return run_on(context_, fetch(client_, std::move(request)));
  }
  UpstreamStats stats(const std::string& name = "default") { return client_->stats().at(name); }

  asio::io_context context_{1};
  UpstreamOptions options_ = [] {
    UpstreamOptions options;
    options.retry_base_ms = 1;
    options.breaker_failures = 100;
    return options;
  }();
  std::shared_ptr<UpstreamClient> client_;
};

TEST_F(UpstreamFaultsTest, RetriesBeforeTheFirstByteOnly) {
  struct Row {
    std::vector<std::string> answers;
    bool allowed;
    std::string result;
    size_t requests;
  };
  const std::string good = answer(200, "good");
  const Row table[] = {
      {{answer(502, "bad"), answer(504, "bad"), good}, true, "200 good", 3},
      {{answer(502, "bad"), good}, false, "502 bad", 1},
      {{answer(502, "a"), answer(502, "b"), answer(502, "c"), good}, true, "502 c", 3},
      {{answer(429, "slow", "Retry-After: 0\r\n"), good}, true, "200 good", 2},
      {{answer(429, "slow", "Retry-After-Ms: 2\r\n"), good}, true, "200 good", 2},
      {{answer(503, "slow", "retry-after: 0.001\r\n"), good}, true, "200 good", 2},
      {{answer(429, "slow", "Retry-After: 6\r\n"), good}, true, "429 slow", 1},
      {{answer(429, "slow", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n"), good}, true, "429 slow", 1},
      {{answer(429, "slow"), good}, true, "429 slow", 1},
      {{answer(500, "bad"), good}, true, "500 bad", 1},
      {{"", good}, true, "200 good", 2},
      {{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\ncut", good}, true, "", 1},
  };
  for (const Row& row : table) {
    auto sequence = std::make_shared<Sequence>(row.answers);
    ScriptedServer server([sequence](Peer& peer, int number) { (*sequence)(peer, number); });
    connect(server.url());
    const std::string result = ask(row.allowed);
    if (row.result.empty()) {
      EXPECT_THAT(result, HasSubstr("before the answer was complete"));
    } else {
      EXPECT_EQ(result, row.result);
    }
    EXPECT_EQ(sequence->requests(), row.requests) << result;
    EXPECT_EQ(stats().retries, row.requests - 1);
  }
}

TEST_F(UpstreamFaultsTest, ConnectFailuresSayWhereAndAreRetried) {
  const uint16_t port = closed_port();
  connect("http://127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(ask(false), code(ErrorCode::kUnavailable) + "connecting to 127.0.0.1:" + std::to_string(port) +
                            " failed: Connection refused");
  EXPECT_EQ(stats().retries, 2U) << "nothing was sent, so it is always safe";
  EXPECT_EQ(stats().errors, 1U);
  options_.retries_max = 0;
  connect("http://no-such-host.invalid");
  EXPECT_THAT(ask(), HasSubstr("the host name no-such-host.invalid cannot be resolved"));
}

TEST_F(UpstreamFaultsTest, AStaleConnectionIsReplacedOnceWithoutBeingSeen) {
  ScriptedServer server([](Peer& peer, int) {
    // Takes a second request and closes without a word, as a server does whose idle timeout has just passed.
    peer.read_message();
    peer.send(answer(200, "first"));
    peer.read_message();
  });
  connect(server.url());
  options_.retries_max = 0;
  ASSERT_TRUE(client_->set_options(options_));
  EXPECT_EQ(ask(), "200 first");
  EXPECT_EQ(ask(false), "200 first");
  EXPECT_EQ(server.connections(), 2);
  EXPECT_EQ(stats().retries, 0U);
}

TEST_F(UpstreamFaultsTest, APooledConnectionThatWasClosedIsNotUsed) {
  ScriptedServer server([](Peer& peer, int) {
    peer.read_message();
    peer.send(answer(200, "x"));
  });
  connect(server.url());
  EXPECT_EQ(ask(), "200 x");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(ask(), "200 x");
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(UpstreamFaultsTest, FallbacksTakeOver) {
  ScriptedServer failing([](Peer& peer, int) {
    while (!peer.read_message().empty()) peer.send(answer(500, "broken"));
  });
  ScriptedServer good([](Peer& peer, int) {
    while (!peer.read_message().empty()) peer.send(answer(200, "good"));
  });
  options_.routes.push_back({"a", {"a", failing.url(), ""}, {{"a2", good.url(), ""}}});
  options_.routes.push_back(
      {"b", {"b", "http://127.0.0.1:" + std::to_string(closed_port()), ""}, {{"b2", good.url(), ""}}});
  options_.routes.push_back({"c", {"c", failing.url(), ""}, {{"c2", failing.url() + "/2", ""}}});
  connect(good.url());
  EXPECT_EQ(ask(true, "a"), "200 good");
  EXPECT_EQ(ask(false, "a"), "500 broken") << "the request was sent, and may not be sent again";
  EXPECT_EQ(ask(true, "b"), "200 good");
  EXPECT_EQ(ask(false, "b"), "200 good") << "nothing was sent";
  EXPECT_EQ(ask(true, "c"), "500 broken") << "the last answer is passed on";
  EXPECT_EQ(stats("a").errors, 2U);
  EXPECT_EQ(stats("c2").requests, 1U);
}

TEST_F(UpstreamFaultsTest, TheBreakerOpensProbesAndCloses) {
  std::atomic<bool> healthy{false};
  std::atomic<int> requests{0};
  ScriptedServer server([&](Peer& peer, int) {
    while (!peer.read_message().empty()) {
      ++requests;
      peer.send(healthy ? answer(200, "good") : answer(500, "bad"));
    }
  });
  options_.breaker_failures = 3;
  options_.breaker_open_ms = 60;
  connect(server.url());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(), "500 bad");
  EXPECT_EQ(stats().breaker_state, 2);
  EXPECT_THAT(ask(), HasSubstr("is left alone after repeated failures; the next try is in"));
  EXPECT_EQ(requests, 3);
  EXPECT_TRUE(eventually([&] { return ask() == "500 bad"; })) << "the probe fails, and it opens again";
  EXPECT_EQ(requests, 4);
  EXPECT_EQ(stats().breaker_state, 2);
  healthy = true;
  EXPECT_TRUE(eventually([&] { return ask() == "200 good"; }));
  EXPECT_EQ(stats().breaker_state, 0);
  EXPECT_EQ(ask(), "200 good");
}

TEST_F(UpstreamFaultsTest, TimeoutsNameTheirLimit) {
  ScriptedServer silent([](Peer& peer, int) {
    peer.read_message();
    peer.receive();
  });
  options_.first_byte_timeout_ms = 40;
  connect(silent.url());
  EXPECT_THAT(
      ask(), testing::AllOf(HasSubstr(code(ErrorCode::kDeadline)), HasSubstr("first-byte timeout of 40 ms")));
  EXPECT_EQ(silent.connections(), 1) << "a slow answer is not asked for again";
  EXPECT_EQ(stats().timeouts, 1U);
  ScriptedServer stalling([](Peer& peer, int) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    peer.receive();
  });
  options_.first_byte_timeout_ms = 10'000;
  options_.idle_timeout_ms = 40;
  connect(stalling.url());
  EXPECT_THAT(ask(),
              testing::AllOf(HasSubstr(code(ErrorCode::kDeadline)), HasSubstr("idle timeout of 40 ms")));
  EXPECT_EQ(stats().timeouts, 1U);
}

TEST_F(UpstreamFaultsTest, ALongAnswerIsNotLimitedAsAWhole) {
  ScriptedServer server([](Peer& peer, int) {
    peer.read_message();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 12; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
      peer.send("1\r\na\r\n");
    }
    peer.send("0\r\n\r\n");
  });
  options_.idle_timeout_ms = 200;
  connect(server.url());
  EXPECT_EQ(ask(), "200 aaaaaaaaaaaa");
}

TEST_F(UpstreamFaultsTest, AnEarlyRefusalOfALargeBodyIsSeen) {
  ScriptedServer server([](Peer& peer, int) {
    peer.read_through("\r\n\r\n");
    peer.send(answer(413, "too large", "Connection: close\r\n"));
    peer.shutdown_send();
    peer.receive();
  });
  connect(server.url());
  UpstreamRequest request;
  request.path = "/x";
  request.body = std::string(size_t{1} << 20U, 'x');
  EXPECT_EQ(run_on(context_, fetch(client_, std::move(request))), "413 too large");
}

TEST_F(UpstreamFaultsTest, ManyRequestsAtOnceOnSeveralThreads) {
  ScriptedServer server([](Peer& peer, int) {
    for (std::string message = peer.read_message(); !message.empty(); message = peer.read_message()) {
      peer.send(answer(200, message.substr(message.find("\r\n\r\n") + 4)));
    }
  });
  options_.idle_connections_max = 5;
  connect(server.url());
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      asio::io_context context(1);
      int left = 0;
      for (int i = 0; i < 60; ++i) {
        UpstreamRequest request;
        request.path = "/x";
        request.body = std::to_string(t * 1000 + i);
        const std::string expected = "200 " + request.body;
        ++left;
        asio::co_spawn(context, fetch(client_, std::move(request)),
                       [&, expected](const std::exception_ptr&, const std::string& got) {
                         good += got == expected ? 1 : 0;
                         --left;
                       });
      }
      while (left > 0) context.run_one();
    });
  }
  const std::string other = server.url() + "/other";
  for (int i = 0; i < 20; ++i) {
    UpstreamOptions next = options_;
    next.default_target.base_url = i % 2 == 0 ? other : server.url();
    EXPECT_TRUE(client_->set_options(next));
    (void)client_->stats();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 180);
}

}  // namespace
}  // namespace enhanced_gptcache::http
