#include "admin/live_api.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "http/test_peers.h"
#include "security/identity.h"

namespace enhanced_gptcache::admin {
namespace {

using http::testing_peers::eventually;
using http::testing_peers::Peer;

TEST(StreamWish, HasDefaultsAndLimits) {
  EXPECT_EQ(read_stream_wish("")->interval_ms, 2000);
  EXPECT_EQ(read_stream_wish("")->count, 0U);
  const auto wish = read_stream_wish("interval_ms=200&count=3&");
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->interval_ms, 200);
  EXPECT_EQ(wish->count, 3U);
  EXPECT_EQ(read_stream_wish("interval_ms=199").error().message,
            "interval_ms: is \"199\", the allowed range is 200 to 10000");
  for (const char* bad : {"interval_ms=", "interval_ms=1e3", "interval_ms=10001", "count=-1", "count=1000001",
                          "pace=3", "count"})
    EXPECT_EQ(read_stream_wish(bad).error().code, ErrorCode::kInvalidArgument) << bad;
}

TEST(TauQuestion, ReadsNamesAndRefusesLongOnes) {
  const auto question = read_tau_question("user=anna+b%C3%A4r&tenant=acme&limit=7");
  ASSERT_TRUE(question);
  EXPECT_EQ(question->user, "anna b\xC3\xA4r");
  EXPECT_EQ(question->tenant, "acme");
  EXPECT_EQ(question->limit, 7U);
  EXPECT_EQ(read_tau_question("")->limit, 100U);
  EXPECT_FALSE(read_tau_question("limit=0"));
  EXPECT_FALSE(read_tau_question("limit=1001"));
  EXPECT_FALSE(read_tau_question("user=" + std::string(257, 'a')));
  EXPECT_FALSE(read_tau_question("tenant=" + std::string(5000, 'a')));
  EXPECT_TRUE(read_tau_question("user=" + std::string(256, 'a')));
  EXPECT_NE(read_tau_question("usr=a").error().message.find("limit, user and tenant"), std::string::npos);
}

class LiveApiTest : public testing::Test {
 protected:
  LiveApiTest() : server_(options()) {
    LiveHooks hooks;
    hooks.live_json = [this] {
      if (fails_) throw std::runtime_error("no figures");
      return "{\"number\":" + std::to_string(++made_) + "}";
    };
    hooks.tau_json = [](const http::Exchange&, const TauQuestion& question) { return question.user; };
    hooks.ready = [this] { return ready_.load(); };
    hooks.offload = [this](std::function<void()> work) {
      if (busy_) return false;
      try {
        work();
      } catch (const std::runtime_error&) {
        ++failures_;  // as the app's pool does: it ends that piece of work
      }
      return true;
    };
    hooks.still_admitted = [this](const http::Exchange&) { return admitted_.load(); };
    hooks.stream_life_ms = 3000;
    LiveApi(std::move(hooks)).register_routes(server_);
    server_.on_request([](const http::ExchangePtr& exchange) {
      if (!exchange->request().has("x-caller")) return false;
      auto who = std::make_shared<security::Identity>();
      who->id = std::string(exchange->request().header("x-caller"));
      auto pass = std::make_shared<security::Pass>();
      pass->identity = std::move(who);
      exchange->pass = std::move(pass);
      return false;
    });
    EXPECT_TRUE(server_.start());
  }
  static http::ServerOptions options() {
    http::ServerOptions options;
    options.port = 0;
    return options;
  }
  Peer ask(const std::string& target, const std::string& headers = {}) {
    Peer peer = Peer::connect_to(server_.port());
    peer.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return peer;
  }

  std::atomic<int> made_{0}, failures_{0};
  std::atomic<bool> ready_{true}, busy_{false}, fails_{false}, admitted_{true};
  http::Server server_;
};

TEST_F(LiveApiTest, StreamsAsManyEventsAsAskedFor) {
  Peer peer = ask("/admin/events?interval_ms=200&count=2");
  const std::string head = peer.read_through("\r\n\r\n");
  EXPECT_NE(head.find("text/event-stream"), std::string::npos);
  EXPECT_NE(peer.read_through("event: stats\ndata: {\"number\":1}\n\n"), "");
  EXPECT_NE(peer.read_through("event: stats\ndata: {\"number\":2}\n\n"), "");
  EXPECT_NE(peer.read_through("0\r\n\r\n"), "") << "properly ended";
}

TEST_F(LiveApiTest, EndsWhenTheServerIsAboutToStop) {
  Peer peer = ask("/admin/events?interval_ms=10000");
  EXPECT_NE(peer.read_through("\"number\":1}\n\n"), "");
  ready_ = false;
  EXPECT_NE(peer.read_through("0\r\n\r\n"), "");
}

TEST_F(LiveApiTest, EndsWhenTheCallersKeyIsRevoked) {
  Peer peer = ask("/admin/events?interval_ms=200");
  EXPECT_NE(peer.read_through("\"number\":1}\n\n"), "");
  admitted_ = false;
  EXPECT_NE(peer.read_through("0\r\n\r\n"), "");
  EXPECT_LE(made_.load(), 2) << "one may have been on its way";
}

TEST_F(LiveApiTest, EndsAtTheEndOfItsLife) {
  Peer peer = ask("/admin/events?interval_ms=200");
  EXPECT_NE(peer.read_through("\"number\":1}\n\n"), "");
  EXPECT_NE(peer.read_through("0\r\n\r\n"), "");
}

TEST_F(LiveApiTest, ABusyPoolCostsAnEventAndNotTheStream) {
  busy_ = true;
  Peer peer = ask("/admin/events?interval_ms=200");
  EXPECT_NE(peer.read_through(": busy\n\n"), "");
  busy_ = false;
  EXPECT_NE(peer.read_through("\"number\":1}\n\n"), "");
}

TEST_F(LiveApiTest, StreamsAreLimitedAndGivenBack) {
  std::vector<Peer> peers;
  for (size_t i = 0; i < LiveApi::kStreamsMax; ++i) {
    peers.push_back(ask("/admin/events?interval_ms=10000"));
    EXPECT_NE(peers.back().read_through("data:"), "");
  }
  EXPECT_NE(ask("/admin/events").read_through("32 streams"), "");
  peers.clear();
  EXPECT_TRUE(eventually([this] {
    return ask("/admin/events?count=1").read_through(" ") == "HTTP/1.1 " &&
           server_.stats().in_flight < LiveApi::kStreamsMax;
  }));
}

TEST_F(LiveApiTest, OneKeyCannotTakeEverybodysStreams) {
  std::vector<Peer> greedy;
  for (size_t i = 0; i < LiveApi::kStreamsPerCallerMax; ++i) {
    greedy.push_back(ask("/admin/events?interval_ms=10000", "X-Caller: key:a\r\n"));
    EXPECT_NE(greedy.back().read_through("data:"), "");
  }
  Peer refused = ask("/admin/events", "X-Caller: key:a\r\n");
  EXPECT_NE(refused.read_through("8 streams of events are open for this key"), "");
  EXPECT_NE(ask("/admin/events?count=1", "X-Caller: key:b\r\n").read_through("data:"), "");
  greedy.clear();
  EXPECT_TRUE(eventually([this] {
    Peer again = ask("/admin/events?count=1", "X-Caller: key:a\r\n");
    return again.read_through("\r\n").starts_with("HTTP/1.1 200");
  }));
}

TEST_F(LiveApiTest, StreamsShareOneSetOfFigures) {
  std::vector<Peer> peers;
  for (int i = 0; i < 8; ++i) peers.push_back(ask("/admin/events?interval_ms=200&count=4"));
  for (Peer& peer : peers) EXPECT_NE(peer.read_through("0\r\n\r\n"), "");
  EXPECT_GE(made_.load(), 4);
  EXPECT_LT(made_.load(), 8 * 4);
}

TEST_F(LiveApiTest, FiguresThatFailCostAnEvent) {
  fails_ = true;
  Peer peer = ask("/admin/events?interval_ms=200");
  EXPECT_NE(peer.read_through("text/event-stream"), "");
  EXPECT_TRUE(eventually([this] { return failures_.load() > 1; })) << "tried again";
  fails_ = false;
  EXPECT_NE(peer.read_through("\"number\":"), "");
}

TEST_F(LiveApiTest, RefusesWhatItCannotRead) {
  EXPECT_NE(ask("/admin/events?count=x").read_through("the allowed range is"), "");
  EXPECT_NE(ask("/admin/tau?limit=0").read_through("the allowed range is 1 to 1000"), "");
  EXPECT_NE(ask("/admin/tau?user=anna").read_through("anna"), "");
  busy_ = true;
  EXPECT_NE(ask("/admin/tau").read_through("503"), "");
}

}  // namespace
}  // namespace enhanced_gptcache::admin
