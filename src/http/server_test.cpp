// The server as a client sees it: requests, pipelining, limits, malformed input, timeouts.

#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/test_peers.h"

namespace enhanced_gptcache::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using testing_peers::eventually;
using testing_peers::Peer;

Response text(std::string body, int status = 200) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

class ServerTest : public testing::Test {
 protected:
  void start(const std::function<void(Server&)>& routes = {}) {
    server_ = std::make_unique<Server>(options_);
    server_->route("POST", "/echo", [](const ExchangePtr& exchange) {
      const Request& request = exchange->request();
      exchange->send(text(std::string(request.method) + " " + std::string(request.query) + " " +
                          std::string(request.body)));
    });
    server_->route("GET", "/shared", [](const ExchangePtr& exchange) {
      Response response;
      const auto body = std::make_shared<const std::string>("shared bytes");
      response.body_owner = body;
      response.shared_body = *body;
      exchange->send(std::move(response));
    });
    server_->route("GET", "/later", [](const ExchangePtr& exchange) {
      std::thread([exchange] { exchange->send(text("later")); }).detach();
    });
    server_->route("GET", "/dropped", [](const ExchangePtr&) {});
    server_->route("GET", "/throws", [](const ExchangePtr&) { throw std::runtime_error("oops"); });
    server_->on_access([this](const Exchange& exchange, int status, size_t, int64_t) {
      const std::lock_guard lock(mutex_);
      access_.push_back(std::string(exchange.request().path) + " " + std::to_string(status));
    });
    if (routes) routes(*server_);
    const auto started = server_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  Peer connect() { return Peer::connect_to(server_->port()); }
  /// The whole answer to one request on a connection of its own.
  std::string ask(const std::string& request) {
    Peer peer = connect();
    peer.send(request);
    return peer.read_message();
  }
  std::vector<std::string> access() {
    const std::lock_guard lock(mutex_);
    return access_;
  }

  ServerOptions options_ = [] {
    ServerOptions options;
    options.port = 0;
    return options;
  }();
  std::mutex mutex_;
  std::vector<std::string> access_;
  std::unique_ptr<Server> server_;  // last, because its hook uses the rest until it is gone
};

std::string post(const std::string& body, const std::string& headers = "") {
  return "POST /echo?q=1 HTTP/1.1\r\nHost: a\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kChunkedPost =
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
std::string get(const std::string& path, const std::string& headers = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n";
}

TEST_F(ServerTest, UntilTheRoutesOpenOnlyLiveAnswers) {
  server_ = std::make_unique<Server>(options_);
  ASSERT_TRUE(server_->start_closed());
  EXPECT_THAT(ask("GET /live HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  const std::string ready = ask("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(ready, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(ready, HasSubstr("{\"ready\":false}"));
  const std::string other = ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab");
  EXPECT_THAT(other, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(other, HasSubstr("Retry-After: 1"));
  server_->route("GET", "/ready", [](const ExchangePtr& exchange) { exchange->send(text("yes")); });
  server_->open_routes();
  EXPECT_THAT(ask("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("yes"));
}

TEST_F(ServerTest, ARequestHookMayAnswerInsteadOfTheHandler) {
  start([](Server& server) {
    server.on_request([](const ExchangePtr& exchange) {
      if (exchange->request().body != "bad") return false;
      exchange->send(text("hook", 403));
      return true;
    });
  });
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nbad");
  EXPECT_THAT(peer.read_message(), StartsWith("HTTP/1.1 403"));
  peer.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ngood");
  EXPECT_THAT(peer.read_message(), EndsWith("good"));
}

TEST_F(ServerTest, AHostNameIsResolved) {
  options_.host = "localhost";
  Server named(options_);
  const auto started = named.start();
  EXPECT_TRUE(started) << started.error().message;
  options_.host = "no-such-host.invalid";
  Server unknown(options_);
  const auto refused = unknown.start();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no-such-host.invalid"));
}

TEST_F(ServerTest, AnswersInEveryWayAHandlerCan) {
  start();
  EXPECT_THAT(ask(post("hello")), EndsWith("Content-Length: 14\r\n\r\nPOST q=1 hello"));
  EXPECT_THAT(ask(kChunkedPost), EndsWith("POST  hello"));
  EXPECT_THAT(ask(get("/shared")), EndsWith("Content-Length: 12\r\n\r\nshared bytes"));
  EXPECT_THAT(ask(get("/later")), EndsWith("\r\n\r\nlater"));
  EXPECT_THAT(ask(get("/dropped")), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(ask(get("/throws")), StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(ask(get("/none")), StartsWith("HTTP/1.1 404 "));
  const std::string refused = ask("PUT /shared HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(refused, HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_TRUE(eventually([&] { return access().size() == 8; }));
  EXPECT_THAT(access(), testing::Contains("/dropped 500"));
  EXPECT_EQ(server_->stats().requests, 8U);
  EXPECT_EQ(server_->stats().in_flight, 0U);
}

TEST_F(ServerTest, ARequestMayBeCutAnywhere) {
  start();
  for (const std::string& request : {post("hello"), kChunkedPost}) {
    Peer peer = connect();
    for (size_t cut = 1; cut < request.size(); ++cut) {
      peer.send(request.substr(0, cut));
      // Enough for the server to see the first piece alone in most runs; correct in all of them.
      if (cut % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
      peer.send(request.substr(cut));
      ASSERT_THAT(peer.read_message(), HasSubstr("hello")) << cut;
    }
  }
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  options_.pipeline_max = 4;
  start();
  Peer peer = connect();
  std::string all;
  for (int i = 0; i < 50; ++i) all += i % 3 == 0 ? get("/later") : post("n" + std::to_string(i) + ";");
  peer.send(all);
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(peer.read_message(), EndsWith(i % 3 == 0 ? "later" : "n" + std::to_string(i) + ";")) << i;
  }
}

TEST_F(ServerTest, AHalfClosedClientGetsItsAnswers) {
  start();
  Peer peer = connect();
  peer.send(post("one") + get("/later") + post("two"));
  peer.shutdown_send();
  const std::string all = peer.read_to_end();
  EXPECT_THAT(all, HasSubstr("one"));
  EXPECT_THAT(all, HasSubstr("later"));
  EXPECT_THAT(all, EndsWith("two"));
}

TEST_F(ServerTest, HeadHasNoBodyAndTheLengthOfIt) {
  start();
  Peer peer = connect();
  peer.send("HEAD /shared HTTP/1.1\r\nHost: a\r\n\r\n" + get("/shared"));
  EXPECT_THAT(peer.read_message(false), HasSubstr("Content-Length: 12\r\n"));
  EXPECT_THAT(peer.read_message(), EndsWith("\r\n\r\nshared bytes"));
}

TEST_F(ServerTest, ConnectionsCloseWhenAskedTo) {
  start();
  Peer one = connect();
  one.send(get("/shared", "Connection: close\r\n"));
  EXPECT_THAT(one.read_message(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(one.at_end());
  Peer old = connect();
  old.send("GET /shared HTTP/1.0\r\n\r\n");
  EXPECT_THAT(old.read_message(), HasSubstr("shared bytes"));
  EXPECT_TRUE(old.at_end());
  Peer kept = connect();
  kept.send("GET /shared HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(kept.read_message(), HasSubstr("Connection: keep-alive\r\n"));
  kept.send("GET /shared HTTP/1.0\r\n\r\n");
  EXPECT_THAT(kept.read_message(), HasSubstr("shared bytes"));
}

TEST_F(ServerTest, ContinueIsSentBeforeABodyThatIsAwaited) {
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.read_through("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("hello");
  EXPECT_THAT(peer.read_message(), EndsWith("hello"));
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(peer.read_message(), StartsWith("HTTP/1.1 413 "));
}

struct BadInput {
  std::string request;
  int status;
};

TEST_F(ServerTest, MalformedInputGetsItsStatusAndTheConnectionCloses) {
  options_.header_bytes_max = 2000;
  options_.body_bytes_max = 1000;
  start();
  const std::string chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const BadInput table[] = {
      {"GET /\r\n\r\n", 400},
      {"\x16\x03\x01\x02\x05\x01\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417},
      {get("/" + std::string(3000, 'a')), 431},
      {"GET /" + std::string(3000, 'a'), 431},
      {post(std::string(1001, 'b')), 413},
      {chunked + "x\r\n", 400},
      {chunked + "5\r\nhelloo\r\n0\r\n\r\n", 400},
      {chunked + "3e9\r\n" + std::string(1001, 'b') + "\r\n0\r\n\r\n", 413},
  };
  uint64_t bad = 0;
  for (const BadInput& row : table) {
    Peer peer = connect();
    peer.send(row.request);
    const std::string answer = peer.read_message();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(row.status))) << row.request.substr(0, 80);
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr("{\"error\":{\"message\":\""));
    peer.shutdown_send();
    EXPECT_TRUE(peer.at_end());
    EXPECT_EQ(server_->stats().bad_requests, ++bad);
  }
  EXPECT_THAT(ask(post(std::string(1000, 'b'))), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, TheErrorHookSpeaksTheCallersDialect) {
  start([](Server& server) {
    server.on_error([](int status, const std::string& message, std::string_view path) {
      return text("E" + std::to_string(status) + "|" + std::string(path) + "|" + message, status);
    });
  });
  EXPECT_THAT(ask(get("/none?x")), EndsWith("E404|/none|there is nothing at this path"));
  EXPECT_THAT(ask("nonsense\r\n\r\n"), HasSubstr("E400||the request line is not"));
}

TEST_F(ServerTest, SlowClientsAreTimedOut) {
  options_.header_timeout_ms = 40;
  options_.body_timeout_ms = 40;
  options_.idle_timeout_ms = 40;
  start();
  Peer idle = connect();
  EXPECT_TRUE(idle.at_end()) << "nothing was begun, so nothing is answered";
  Peer head = connect();
  head.send("GET /shared HTTP/1.1\r\nHo");
  EXPECT_THAT(head.read_message(), StartsWith("HTTP/1.1 408 "));
  Peer body = connect();
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
  EXPECT_THAT(body.read_message(), StartsWith("HTTP/1.1 408 "));
  body.shutdown_send();
  EXPECT_TRUE(body.at_end());
  Peer second = connect();
  second.send(get("/shared"));
  EXPECT_THAT(second.read_message(), StartsWith("HTTP/1.1 200 "));
  second.send("GET");
  EXPECT_THAT(second.read_message(), StartsWith("HTTP/1.1 408 "))
      << "a head on a used connection has its limit too";
  EXPECT_EQ(server_->stats().timeouts, 3U);
}

TEST_F(ServerTest, AClientThatDripsItsHeadIsCutOff) {
  options_.header_timeout_ms = 60;
  start();
  Peer peer = connect();
  const std::string request = get("/shared", "X: " + std::string(2000, 'a') + "\r\n");
  for (size_t i = 0; i < request.size() && !peer.receive(5); ++i) peer.send(request.substr(i, 1));
  EXPECT_THAT(peer.received(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, AClientThatDripsItsBodyIsCutOff) {
  options_.body_timeout_ms = 60;
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  for (int i = 0; i < 100'000 && !peer.receive(5); ++i) peer.send("x");
  EXPECT_THAT(peer.received(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, AClientThatDoesNotReadIsCutOffAndASlowOneIsNot) {
  options_.write_timeout_ms = 300;
  start([](Server& server) {
    server.route("GET", "/big", [](const ExchangePtr& exchange) {
      exchange->send(text(std::string(size_t{16} << 20U, 'x')));
    });
  });
  Peer stuck = Peer::connect_to(server_->port(), 4096);
  Peer slow = Peer::connect_to(server_->port(), 4096);
  stuck.send(get("/big"));
  slow.send(get("/big"));
  while (server_->stats().timeouts == 0) {
    // Far too slow for the socket to become writable again within the limit.
    ASSERT_TRUE(slow.receive());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_THAT(slow.read_message().size(), testing::Gt(size_t{16} << 20U));
  EXPECT_EQ(server_->stats().timeouts, 1U);
}

TEST_F(ServerTest, AboveTheConnectionLimit503) {
  options_.connections_max = 3;
  start();
  std::vector<Peer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(connect());
  for (Peer& peer : peers) {
    peer.send(get("/shared"));
    EXPECT_THAT(peer.read_message(), StartsWith("HTTP/1.1 200 "));
  }
  Peer refused = connect();
  EXPECT_THAT(refused.read_message(), StartsWith("HTTP/1.1 503 "));
  refused.shutdown_send();
  EXPECT_TRUE(refused.at_end());
  EXPECT_EQ(server_->stats().connections_refused, 1U);
  peers.pop_back();
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 2; }));
  EXPECT_THAT(ask(get("/shared")), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, ManyThreadsAndConnections) {
  options_.threads = 3;
  start();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      Peer peer = connect();
      for (int i = 0; i < 200; ++i) {
        const std::string body = std::to_string(c * 1000 + i);
        peer.send(i % 5 == 0 ? get("/later") : post(body));
        if (peer.read_message().ends_with(i % 5 == 0 ? "later" : " " + body)) ++good;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 1600);
  EXPECT_EQ(server_->threads(), 3U);
  EXPECT_EQ(server_->executors().size(), 3U);
}

TEST_F(ServerTest, StartSaysWhyItCannot) {
  start();
  ServerOptions taken = options_;
  taken.port = server_->port();
  Server second(taken);
  const auto refused = second.start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(refused.error().message,
              HasSubstr("port " + std::to_string(taken.port) + ": Address already in use"));
  taken.host = "not an address";
  Server third(taken);
  EXPECT_EQ(third.start().error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace enhanced_gptcache::http
