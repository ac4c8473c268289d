// Streams through the whole proxy: passing on, learning, replaying, cutting, and single flight.
#include <thread>

#include "proxy/proxy_fixture.h"
#include "security/credentials.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kStream = R"(,"stream":true)";
const std::vector<std::string> kWords = {"Whales", " are", " mammals", "."};

bool asked_usage(const http::UpstreamRequest& request) {
  return request.body.find(R"("include_usage":true)") != std::string::npos;
}

std::string joined(const fakes::FakeAnswer& answer) {
  std::string all;
  for (const std::string& piece : answer.pieces) all += piece;
  return all;
}

class StreamTest : public ProxyTest {
 protected:
  StreamTest() {
    script_ = [this](const http::UpstreamRequest& request) {
      ++answers_;
      auto answer = stream_answer(kWords, asked_usage(request));
      answer.hold_before = hold_before_;
      return answer;
    };
  }
  ExchangePtr begin(std::string_view question, std::string_view more = kStream, http::Headers headers = {}) {
    const ExchangePtr made = exchange("/v1/chat/completions", chat_body(question, more), std::move(headers));
    start(&Proxy::handle_chat, made);
    return made;
  }
  using FakePtr = ExchangePtr;
  /// Of callers without a credential.
  std::string tenant_of_callers() {
    const ExchangePtr anybody = exchange("/v1/chat/completions", "");
    return security::carriers_of(anybody->request()).tenant({1, 2, 3});
  }
  int hold_before_ = -1;
};

TEST_F(StreamTest, PassesPieceByPieceWithoutTheUsageWeAskedFor) {
  const auto stream = ask("Tell me about whales", kStream);
  EXPECT_EQ(stream->header("X-Cache"), "MISS");
  EXPECT_EQ(stream->header("Content-Type"), "text/event-stream");
  EXPECT_EQ(stream->header("x-request-id"), "up-1");
  EXPECT_EQ(stream->answer_body, joined(stream_answer(kWords, false)));
  EXPECT_EQ(stream->writes.size(), 7U);
  EXPECT_TRUE(asked_usage(upstream_->requests()[0]));
  EXPECT_EQ(*http::find_header(upstream_->requests()[0].headers, "Accept-Encoding"), "identity");
  EXPECT_EQ(observer_.tokens_spent, 18U);

  const auto json = ask("Tell me about whales");
  EXPECT_EQ(json->header("X-Cache-Layer"), "exact");
  EXPECT_EQ(content(json), "Whales are mammals.");
  EXPECT_EQ(nlohmann::json::parse(json->answer_body)["usage"]["total_tokens"], 18);
  const auto replay = ask("Tell me about whales", kStream + R"(,"stream_options":{"include_usage":true})");
  EXPECT_EQ(replay->header("X-Cache-Layer"), "exact");
  EXPECT_THAT(replay->answer_body, HasSubstr(R"("total_tokens":18)"));
  EXPECT_THAT(ask("Tell me about whales", kStream)->answer_body, Not(HasSubstr("usage")));
  EXPECT_EQ(upstream_->calls(), 1U);
}

TEST_F(StreamTest, AskedUsageIsPassedOnByteTrue) {
  const auto stream =
      ask("Tell me about whales", kStream + R"(,"stream_options":{"include_usage":true,"x":1})");
  EXPECT_EQ(stream->answer_body, joined(stream_answer(kWords, true)));
  EXPECT_THAT(upstream_->requests()[0].body, HasSubstr(R"("stream_options":{"include_usage":true,"x":1})"));
}

TEST_F(StreamTest, ProvidersThatRefuseStreamOptionsAreAskedAgainWithout) {
  script_ = [](const http::UpstreamRequest& request) {
    if (asked_usage(request))
      return json_answer(R"({"error":{"message":"unknown field stream_options"}})", 400);
    return stream_answer(kWords, false);
  };
  EXPECT_EQ(ask("Tell me about whales", kStream)->status, 200);
  EXPECT_EQ(upstream_->calls(), 2U);
  EXPECT_EQ(ask("Tell me about whales")->header("X-Cache"), "HIT");
  ask("What do penguins eat for dinner?", kStream);
  EXPECT_EQ(upstream_->calls(), 3U);  // learned
  script_ = [](const auto&) { return json_answer(R"({"error":{"message":"bad temperature"}})", 400); };
  const auto refused = ask("Something bad", kStream);
  EXPECT_EQ(refused->status, 400);
  EXPECT_EQ(error_message(refused), "bad temperature");
}

TEST_F(StreamTest, CutStreamsAreCutAndNotLearned) {
  script_ = [](const http::UpstreamRequest& request) {
    auto answer = stream_answer(kWords, asked_usage(request));
    answer.pieces.resize(3);
    answer.cut = true;
    return answer;
  };
  for (int i = 1; i <= 2; ++i) {
    const auto cut = ask("A stream that is cut", kStream);
    EXPECT_TRUE(cut->aborted);
    EXPECT_FALSE(cut->finished);
    EXPECT_EQ(upstream_->calls(), static_cast<size_t>(i));
  }
  EXPECT_THAT(observer_.learned, testing::ElementsAre("cut", "cut"));
}

TEST_F(StreamTest, AStreamWithoutItsEndIsNotLearned) {
  script_ = [](const http::UpstreamRequest& request) {
    auto answer = stream_answer(kWords, asked_usage(request));
    answer.pieces.pop_back();
    return answer;
  };
  EXPECT_TRUE(ask("No terminal event", kStream)->finished);
  EXPECT_THAT(observer_.learned, testing::ElementsAre("cut"));
  script_ = [](const auto&) { return stream_answer(kWords, false, "length"); };
  ask("Ends by length", kStream);
  EXPECT_EQ(observer_.learned.back(), "finish_reason");
}

TEST_F(StreamTest, AnErrorAfterTheEndDoesNoHarm) {
  script_ = [](const auto&) {
    auto answer = stream_answer(kWords, false);
    answer.cut = true;
    return answer;
  };
  const auto stream = ask("Cut after the end", kStream);
  EXPECT_TRUE(stream->finished);
  EXPECT_EQ(ask("Cut after the end")->header("X-Cache"), "HIT");
}

TEST_F(StreamTest, WhatWasAskedForBeforeAFlushIsNotLearnedAfterIt) {
  hold_before_ = 3;
  const auto interrupted = [this](const std::string& question, const std::function<void(FakePtr)>& meanwhile,
                                  http::Headers headers = {}) {
    upstream_->released = false;
    const ExchangePtr stream = begin(question, kStream, headers);
    run_until([&] { return stream->writes.size() >= 2; });
    meanwhile(stream);
    upstream_->release();
    finish(stream);
    EXPECT_EQ(stream->status, 200);
    EXPECT_THAT(stream->answer_body, testing::EndsWith("[DONE]\n\n")) << "its caller gets all of it";
    return ask(question, "", std::move(headers))->header("X-Cache");
  };
  const std::string tenant = tenant_of_callers();
  Filter other;
  other.tenant = "somebody else";
  EXPECT_EQ(interrupted("Is it left alone?", [](auto) {}), "HIT");
  EXPECT_EQ(interrupted("Is a foreign flush ignored?", [&](auto) { cache_->flush("somebody else", {}); }),
            "HIT");
  EXPECT_EQ(interrupted("Is another namespace's flush ignored?", [&](auto) { cache_->flush(tenant, "n"); }),
            "HIT");
  EXPECT_EQ(interrupted("Is all flushed?", [&](auto) { cache_->flush(tenant, {}); }), "MISS");
  EXPECT_EQ(interrupted("Is the namespace flushed?", [&](auto) { cache_->flush(tenant, "n"); },
                        {{"X-Cache-Namespace", "n"}}),
            "MISS");
  Filter filter;
  filter.tenant = tenant;
  filter.tags = {"t"};
  EXPECT_EQ(interrupted("Is a dry run harmless?", [&](auto) { cache_->invalidate(filter, true); }), "HIT");
  EXPECT_EQ(interrupted("Is it invalidated?", [&](auto) { cache_->invalidate(filter, false); }), "MISS");
  EXPECT_EQ(interrupted("Is it judged wrong?",
                        [&](const FakePtr& stream) {
                          Feedback wrong;
                          wrong.tenant = tenant;
                          wrong.request_id = stream->header("X-Cache-Request-Id");
                          wrong.correct = false;
                          EXPECT_TRUE(cache_->feedback(wrong));
                        }),
            "MISS");
}

TEST_F(StreamTest, IdenticalStreamsShareOneCall) {
  hold_before_ = 3;
  std::vector<ExchangePtr> callers;
  for (int i = 0; i < 100; ++i) callers.push_back(begin("Who shares this stream?"));
  run_until([&] { return callers[0]->writes.size() >= 2; });
  callers.push_back(begin("Who shares this stream?"));  // late: gets it from the start
  run_until([&] { return callers.back()->writes.size() >= 1; });
  boost::asio::post(io_, [&] { callers[0]->leave(); });
  run_for(5);
  upstream_->release();
  for (size_t i = 1; i < callers.size(); ++i) {
    finish(callers[i]);
    EXPECT_EQ(callers[i]->answer_body, joined(stream_answer(kWords, false)));
    EXPECT_EQ(callers[i]->header("X-Cache"), "MISS");
    EXPECT_EQ(callers[i]->header("X-Cache-Reason"), "joined");
  }
  EXPECT_EQ(upstream_->calls(), 1U);
  EXPECT_EQ(upstream_->cancelled, 0);
  EXPECT_EQ(proxy_->flights(), 0U);
  EXPECT_EQ(observer_.tokens_spent, 0U);  // the leader left before the end
  EXPECT_EQ(ask("Who shares this stream?")->header("X-Cache"), "HIT");
}

TEST_F(StreamTest, JsonCallersShareToo) {
  script_ = [this](const auto&) {
    auto answer = json_answer(chat_answer("shared " + std::to_string(++answers_)));
    answer.hold_before = 0;
    return answer;
  };
  std::vector<ExchangePtr> callers;
  for (int i = 0; i < 20; ++i) callers.push_back(begin("Who shares this answer?", ""));
  const auto other_tenant = begin("Who shares this answer?", "", {{"Authorization", "Bearer other"}});
  const auto refresh = begin("Who shares this answer?", "", {{"X-Cache-Control", "no-cache"}});
  run_until([&] { return upstream_->calls() == 3; });
  run_for(5);
  upstream_->release();
  for (const auto& caller : callers) {
    finish(caller);
    EXPECT_EQ(content(caller), content(callers[0]));
  }
  finish(other_tenant);
  finish(refresh);
  EXPECT_NE(content(other_tenant), content(callers[0]));
  EXPECT_EQ(refresh->header("X-Cache"), "REFRESH");
  EXPECT_EQ(upstream_->calls(), 3U);
}

TEST_F(StreamTest, TheLastCallerToLeaveCancels) {
  hold_before_ = 3;
  const auto one = begin("Leave me");
  const auto two = begin("Leave me");
  run_until([&] { return one->writes.size() >= 2 && two->writes.size() >= 2; });
  boost::asio::post(io_, [&] { one->leave(); });
  run_for(5);
  EXPECT_EQ(upstream_->cancelled, 0);
  boost::asio::post(io_, [&] { two->leave(); });
  run_until([&] { return upstream_->cancelled == 1 && proxy_->flights() == 0; });
  EXPECT_EQ(upstream_->cancelled, 1);
  run_for(5);
  upstream_->release();
  hold_before_ = -1;
  EXPECT_EQ(ask("Leave me", kStream)->header("X-Cache"), "MISS");
}

TEST_F(StreamTest, LeavingBeforeTheHeadCancelsAsWell) {
  hold_before_ = 0;
  const auto one = begin("Leave before the head");
  run_until([&] { return upstream_->calls() == 1; });
  boost::asio::post(io_, [&] { one->leave(); });
  run_until([&] { return proxy_->flights() == 0; });
  run_for(5);
  hold_before_ = -1;
  EXPECT_EQ(ask("Leave before the head", kStream)->status, 200);
  EXPECT_EQ(upstream_->calls(), 2U);
}

TEST_F(StreamTest, FinishToLearnWhenToldTo) {
  ProxyOptions options;
  options.single_flight_finish = true;
  remake(options);
  hold_before_ = 3;
  const auto one = begin("Finish without me");
  run_until([&] { return one->writes.size() >= 2; });
  boost::asio::post(io_, [&] { one->leave(); });
  run_for(5);
  upstream_->release();
  run_until([&] { return !observer_.learned.empty(); });
  EXPECT_EQ(upstream_->cancelled, 0);
  EXPECT_EQ(ask("Finish without me")->header("X-Cache"), "HIT");
}

TEST_F(StreamTest, FollowersOfAFailedCallTryOnceMoreTogether) {
  for (const bool no_answer : {true, false}) {
    answers_ = 0;
    script_ = [this, no_answer](const http::UpstreamRequest& request) {
      fakes::FakeAnswer answer;
      if (++answers_ == 1) {
        if (no_answer)
          answer.error = Error{ErrorCode::kUnavailable, "connection refused"};
        else
          answer = json_answer(R"({"error":{"message":"boom"}})", 500);
        answer.hold_before = 0;
      } else {
        answer = stream_answer(kWords, asked_usage(request));
      }
      return answer;
    };
    upstream_->released = false;
    const std::string question = no_answer ? "Retry after no answer" : "Retry after a 500";
    std::vector<ExchangePtr> callers;
    for (int i = 0; i < 10; ++i) callers.push_back(begin(question));
    run_until([&] { return answers_ == 1; });
    run_for(5);
    upstream_->release();
    for (const auto& caller : callers) finish(caller);
    EXPECT_EQ(callers[0]->status, no_answer ? 502 : 500);
    for (size_t i = 1; i < callers.size(); ++i)
      EXPECT_EQ(callers[i]->answer_body, joined(stream_answer(kWords, false))) << i;
    EXPECT_EQ(answers_, 2);
  }
}

TEST_F(StreamTest, ASlowReaderDoesNotHoldMemoryWithoutLimit) {
  ProxyOptions options;
  options.learn_bytes_max = 4096;
  remake(options);
  script_ = [](const auto&) {
    fakes::FakeAnswer answer;
    answer.headers = {{"Content-Type", "text/event-stream"}};
    for (int i = 0; i < 200; ++i) answer.pieces.push_back("data: " + std::string(100'000, 'x') + "\n\n");
    return answer;
  };
  const auto big = ask("Twenty megabytes please", kStream);
  EXPECT_TRUE(big->finished);
  EXPECT_EQ(big->answer_body.size(), 200U * 100'008U);
}

TEST_F(StreamTest, SharedAcrossThreads) {
  hold_before_ = 2;
  constexpr int kThreads = 4;
  constexpr int kEach = 10;
  std::vector<std::unique_ptr<boost::asio::io_context>> loops;
  std::vector<ExchangePtr> callers;
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  for (int t = 0; t < kThreads; ++t) loops.push_back(std::make_unique<boost::asio::io_context>(1));
  for (int t = 0; t < kThreads; ++t)
    for (int i = 0; i < kEach; ++i) {
      auto made = std::make_shared<fakes::FakeExchange>(*loops[static_cast<size_t>(t)], "POST",
                                                        "/v1/chat/completions", http::Headers{},
                                                        chat_body("Across all threads", kStream));
      callers.push_back(made);
      boost::asio::post(*loops[static_cast<size_t>(t)], [this, made] { proxy_->handle_chat(made); });
    }
  for (auto& loop : loops)
    threads.emplace_back([&loop, &stop] {
      while (!stop) {
        loop->restart();
        loop->run_for(std::chrono::milliseconds(1));
      }
    });
  while (upstream_->calls() == 0) std::this_thread::yield();
  upstream_->release();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (proxy_->flights() > 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& caller : callers) {
    EXPECT_TRUE(caller->finished);
    const bool hit = caller->header("X-Cache") == "HIT";
    if (!hit) {
      EXPECT_EQ(caller->answer_body, joined(stream_answer(kWords, false)));
    }
  }
  EXPECT_EQ(upstream_->calls(), 1U);
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
