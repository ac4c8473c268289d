// The upstream client against scripted servers: framing, headers, credentials, pooling, streams.

#include "http/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "http/test_peers.h"

namespace enhanced_gptcache::http {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing_peers::Peer;
using testing_peers::run_on;
using testing_peers::ScriptedServer;

struct Answered {
  Error error;
  int status = 0;
  Headers headers;
  std::string body;
  bool complete = false;
};

asio::awaitable<Answered> fetch(std::shared_ptr<UpstreamClient> client, UpstreamRequest request) {
  Answered answered;
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response) {
    answered.error = response.error();
    co_return answered;
  }
  answered.status = (*response)->status();
  answered.headers = (*response)->headers();
  for (;;) {
    Result<std::string> piece = co_await (*response)->read();
    if (!piece) {
      answered.error = piece.error();
      co_return answered;
    }
    if (piece->empty()) break;
    answered.body += *piece;
  }
  answered.complete = true;
  co_return answered;
}

class UpstreamTest : public testing::Test {
 protected:
  void connect(const ScriptedServer& server, const std::string& path = "/v1") {
    options_.default_target = {"default", server.url() + path, ""};
    make();
  }
  void make() {
    auto client = UpstreamClient::create(options_);
    ASSERT_TRUE(client) << client.error().message;
    client_ = *client;
  }
  Answered ask(UpstreamRequest request = {}) {
    if (request.path.empty()) request.path = "/chat/completions";
    return run_on(context_, fetch(client_, std::move(request)));
  }
  UpstreamStats stats(const std::string& name = "default") { return client_->stats().at(name); }

  asio::io_context context_{1};
  UpstreamOptions options_ = [] {
    UpstreamOptions options;
    options.retry_base_ms = 1;
    return options;
  }();
  std::shared_ptr<UpstreamClient> client_;
};

std::string ok(const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

/// Answers every request on a connection with the same bytes.
ScriptedServer::Script always(const std::string& answer) {
  return [answer](Peer& peer, int) {
    while (!peer.read_message().empty()) peer.send(answer);
  };
}

TEST_F(UpstreamTest, SendsARequestAndReadsTheAnswer) {
  std::string seen;
  ScriptedServer server([&](Peer& peer, int) {
    seen = peer.read_message();
    peer.send(ok("{\"a\":1}", "X-Request-Id: r1\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"));
  });
  connect(server);
  UpstreamRequest request;
  request.path = "/chat/completions?x=1";
  request.body = "{\"model\":\"m\"}";
  request.headers = {{"Content-Type", "application/json"},
                     {"Authorization", "Bearer sk-caller"},
                     {"Host", "evil"},
                     {"Connection", "close, x-drop"},
                     {"X-Drop", "1"},
                     {"Content-Length", "7"},
                     {"TE", "trailers"},
                     {"Upgrade", "h2c"},
                     {"X-Keep", "yes"}};
  const Answered answered = ask(request);
  EXPECT_TRUE(answered.complete) << answered.error.message;
  EXPECT_EQ(answered.status, 200);
  EXPECT_EQ(answered.body, "{\"a\":1}");
  EXPECT_EQ(*find_header(answered.headers, "x-request-id"), "r1");
  EXPECT_EQ(find_header(answered.headers, "x-hop"), nullptr) << "named by Connection";
  EXPECT_EQ(find_header(answered.headers, "keep-alive"), nullptr);
  EXPECT_EQ(seen,
            "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                "\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-caller\r\nX-Keep: yes\r\n"
                "Content-Length: 13\r\n\r\n{\"model\":\"m\"}");
}

TEST_F(UpstreamTest, ReadsEveryFramingCutAnywhere) {
  const std::string answers[] = {
      ok("hello world"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
      "HTTP/1.0 200 OK\r\n\r\nhello world",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok("hello world"),
  };
  for (const std::string& answer : answers) {
    ScriptedServer server([&](Peer& peer, int number) {
      const auto cut = static_cast<size_t>(number);
      peer.read_message();
      peer.send(answer.substr(0, cut));
      if (number % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
      peer.send(answer.substr(cut));
    });
    options_.idle_connections_max = 0;
    connect(server);
    for (size_t cut = 0; cut < answer.size(); ++cut) {
      const Answered answered = ask();
      ASSERT_TRUE(answered.complete) << answered.error.message << " cut at " << cut;
      ASSERT_EQ(answered.body, "hello world");
    }
  }
}

TEST_F(UpstreamTest, AnswersWithoutABody) {
  ScriptedServer server(always("HTTP/1.1 204 No Content\r\n\r\n"));
  connect(server);
  EXPECT_TRUE(ask().complete);
  ScriptedServer head([](Peer& peer, int) {
    while (!peer.read_message(false).empty()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n");
  });
  connect(head);
  for (int i = 0; i < 2; ++i) {
    UpstreamRequest request;
    request.method = "HEAD";
    const Answered answered = ask(request);
    EXPECT_TRUE(answered.complete) << answered.error.message;
    EXPECT_EQ(*find_header(answered.headers, "content-length"), "77");
  }
  EXPECT_EQ(head.connections(), 1);
}

TEST_F(UpstreamTest, BrokenAnswersAreErrorsThatSayWhatIsWrong) {
  struct Row {
    std::string answer, message;
    int status;
  };
  const Row table[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "before the answer was complete", 200},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
       "before the answer was complete", 200},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size", 200},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both Content-Length",
       0},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding", 0},
      {"HTTP/1.1 200 OK\nContent-Length: 1\n\n", "bare line feed", 0},
      {"SSH-2.0-OpenSSH\r\n\r\n", "status line", 0},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(5000, 'a') + "\r\n\r\n", "larger than 2048 bytes", 0},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(5000, 'a'), "larger than 2048 bytes", 0},
      {"HTTP/1.1 200 O", "closed the connection", 0},
  };
  options_.header_bytes_max = 2048;
  options_.retries_max = 0;
  for (const Row& row : table) {
    ScriptedServer server([&](Peer& peer, int) {
      peer.read_message();
      peer.send(row.answer);
    });
    connect(server);
    const Answered answered = ask();
    EXPECT_FALSE(answered.complete) << row.answer;
    EXPECT_EQ(answered.status, row.status);
    EXPECT_EQ(answered.error.code, ErrorCode::kUpstream);
    EXPECT_THAT(answered.error.message, HasSubstr(row.message));
    EXPECT_THAT(answered.error.message, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
  }
}

TEST_F(UpstreamTest, ConnectionsAreReusedWithinTheirLimit) {
  ScriptedServer server(always(ok("x")));
  connect(server);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ask().complete);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(stats().connections_opened, 1U);
  EXPECT_EQ(stats().connections_reused, 4U);
  options_.idle_connections_max = 0;
  ASSERT_TRUE(client_->set_options(options_));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask().complete);
  EXPECT_EQ(server.connections(), 4) << "the pooled one is closed, and none is kept after it";
  EXPECT_EQ(stats().requests, 8U) << "counters go on across a change of options";
}

TEST_F(UpstreamTest, ACloseOrSurplusBytesEndAConnection) {
  const std::string answers[] = {ok("x", "Connection: close\r\n"), ok("x") + "surplus",
                                 "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"};
  for (const std::string& answer : answers) {
    ScriptedServer server(always(answer));
    connect(server);
    EXPECT_TRUE(ask().complete);
    EXPECT_TRUE(ask().complete);
    EXPECT_EQ(server.connections(), 2) << answer;
  }
}

TEST_F(UpstreamTest, CredentialsGoWhereTheyBelong) {
  std::mutex mutex;
  std::string seen;
  const auto record = [&](Peer& peer, int) {
    for (std::string message = peer.read_message(); !message.empty(); message = peer.read_message()) {
      {
        const std::lock_guard lock(mutex);
        seen = message;
      }
      peer.send(ok("x"));
    }
  };
  ScriptedServer standard(record), other(record);
  options_.routes.push_back({"claude-*", {"claude-*", other.url(), "sk-other"}, {}});
  options_.routes.push_back({"local?", {"local", other.url(), ""}, {}});
  connect(standard);
  const auto request_for = [](const std::string& model) {
    UpstreamRequest request;
    request.model = model;
    request.path = "/x?key=caller-secret&a=b";
    for (const char* name :
         {"Authorization", "x-api-key", "API-Key", "X-Goog-Api-Key", "Cookie", "OpenAI-Organization"}) {
      request.headers.push_back({name, "caller-secret"});
    }
    for (const char* name : {"X-Auth-Token", "PRIVATE-TOKEN", "X-Forwarded-For", "X-User-Id"})
      request.headers.push_back({name, "caller-secret"});
    request.headers.push_back({"Proxy-Authorization", "never-forwarded"});
    request.headers.push_back({"X-Odd", "Token egptc_secret"});
    request.headers.push_back({"Accept-Language", "fr"});
    request.headers.push_back({"X-EGPTC-Key", "egptc_secret"});
    return request;
  };
  EXPECT_TRUE(client_->passes_caller_credential("gpt-4"));
  EXPECT_FALSE(client_->passes_caller_credential("claude-3"));
  EXPECT_FALSE(client_->passes_caller_credential("local1"));
  ask(request_for("gpt-4"));
  EXPECT_THAT(seen, HasSubstr("\r\nAuthorization: caller-secret\r\n"));
  EXPECT_THAT(seen, HasSubstr("X-Auth-Token: caller-secret\r\n"));
  EXPECT_THAT(seen, Not(HasSubstr("never-forwarded")));
  EXPECT_THAT(seen, HasSubstr("/v1/x?key=caller-secret&a=b "));
  EXPECT_THAT(seen, Not(HasSubstr("egptc_")));
  ask(request_for("claude-3"));
  EXPECT_THAT(seen, HasSubstr("POST /x?a=b HTTP/1.1"));
  EXPECT_THAT(seen, HasSubstr("Accept-Language: fr\r\n"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Bearer sk-other\r\n"));
  EXPECT_THAT(seen, Not(HasSubstr("caller-secret")));
  ask(request_for("local1"));
  EXPECT_THAT(seen, Not(HasSubstr("caller-secret")));
  EXPECT_THAT(seen, Not(HasSubstr("Authorization")));
  options_.default_target.api_key = "sk-configured";
  ASSERT_TRUE(client_->set_options(options_));
  EXPECT_FALSE(client_->passes_caller_credential("gpt-4"));
  ask(request_for("gpt-4"));
  EXPECT_THAT(seen, HasSubstr("\r\nAuthorization: Bearer sk-configured\r\n"));
  EXPECT_THAT(seen, Not(HasSubstr("\r\nx-api-key")));
  EXPECT_THAT(seen, Not(HasSubstr("key=caller-secret")));
  EXPECT_THAT(seen, Not(HasSubstr("\r\nCookie")));
  EXPECT_THAT(seen, HasSubstr("X-User-Id: caller-secret\r\n"));
  UpstreamRequest ours;
  ours.headers = {{"Authorization", "Bearer egptc_abc"}, {"X-Auth-Token", "%65gptc_abc"}};
  ours.path = "/x?key=%65gptc_abc&b=1";
  options_.default_target.api_key.clear();
  ASSERT_TRUE(client_->set_options(options_));
  ask(ours);
  EXPECT_THAT(seen, HasSubstr("/x?b=1 "));
  EXPECT_THAT(seen, Not(HasSubstr("gptc_")))
      << "a key of ours never leaves, even where callers' credentials pass";
}

TEST_F(UpstreamTest, BadRequestsAreRefusedBeforeAnythingIsSent) {
  ScriptedServer server(always(ok("x")));
  connect(server);
  UpstreamRequest request;
  request.method = "GE T";
  EXPECT_EQ(ask(request).error.code, ErrorCode::kInvalidArgument);
  request.method = "GET";
  for (const char* path : {"/a b", "/../admin", "/a/%2E./b", "/a/.", "/#x"}) {
    request.path = path;
    EXPECT_EQ(ask(request).error.code, ErrorCode::kInvalidArgument) << path;
  }
  request.path = "/a";
  request.headers = {{"X", "a\r\nY: b"}};
  EXPECT_EQ(ask(request).error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(server.connections(), 0);
}

/// A body_source that yields these pieces, then the end or an error.
std::function<asio::awaitable<Result<std::string>>()> source_of(std::vector<std::string> pieces,
                                                                bool fails = false) {
  auto rest = std::make_shared<std::vector<std::string>>(std::move(pieces));
  return [rest, fails]() -> asio::awaitable<Result<std::string>> {
    if (rest->empty() && fails) co_return fail(ErrorCode::kDeadline, "the caller is slow");
    if (rest->empty()) co_return std::string();
    std::string piece = rest->front();
    rest->erase(rest->begin());
    co_return piece;
  };
}

TEST_F(UpstreamTest, StreamsARequestBody) {
  std::string seen;
  ScriptedServer server([&](Peer& peer, int) {
    while (!(seen = peer.read_message()).empty()) {
      peer.send(ok("x"));
      break;
    }
  });
  connect(server);
  UpstreamRequest request;
  request.body_source = source_of({"abc", "defg"});
  EXPECT_TRUE(ask(request).complete);
  EXPECT_THAT(seen, EndsWith("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
  request.body_source = source_of({"abc", "defg"});
  request.body_length = 7;
  EXPECT_TRUE(ask(request).complete);
  EXPECT_THAT(seen, EndsWith("Content-Length: 7\r\n\r\nabcdefg"));
  request.body_source = source_of({"abc"});
  EXPECT_THAT(ask(request).error.message, HasSubstr("shorter than its stated length"));
  request.body_source = source_of({"abc", "defgh"});
  EXPECT_THAT(ask(request).error.message, HasSubstr("longer than its stated length"));
  request.body_length.reset();
  request.body_source = source_of({"abc"}, true);
  const Answered answered = ask(request);
  EXPECT_EQ(answered.error.code, ErrorCode::kDeadline);
  EXPECT_EQ(answered.error.message, "the caller is slow");
}

asio::awaitable<std::string> websocket(std::shared_ptr<UpstreamClient> client) {
  UpstreamRequest request;
  request.method = "GET";
  request.path = "/realtime";
  request.headers.push_back({"Upgrade", "websocket"});
  Result<std::unique_ptr<UpstreamResponse>> response = co_await client->send(std::move(request));
  if (!response) co_return response.error().message;
  std::string out = std::to_string((*response)->status()) + " ";
  std::string hello = "hello";
  const bool taken = co_await (*response)->write_raw(std::move(hello));
  if (!taken) co_return "not taken";
  for (;;) {
    Result<std::string> piece = co_await (*response)->read_raw();
    if (!piece) co_return piece.error().message;
    if (piece->empty()) co_return out;
    out += *piece;
  }
}

TEST_F(UpstreamTest, TunnelsAnUpgrade) {
  std::string seen;
  ScriptedServer server([&](Peer& peer, int) {
    seen = peer.read_through("\r\n\r\n");
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst ");
    peer.send(peer.read_bytes(5));
  });
  connect(server);
  EXPECT_EQ(run_on(context_, websocket(client_)), "101 first hello");
  EXPECT_THAT(seen, HasSubstr("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
}

}  // namespace
}  // namespace enhanced_gptcache::http
