#pragma once
// What the tests of this folder share: the real cache on a fake model, a scripted provider, and
// requests without sockets.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "fakes/fake_embedder.h"
#include "fakes/fake_exchange.h"
#include "fakes/fake_upstream.h"
#include "proxy/proxy.h"

namespace enhanced_gptcache::proxy {

/// Everything the proxy reported.
class RecordingObserver final : public ProxyObserver {
 public:
  void on_request(const RequestRecord& record) override {
    const std::lock_guard lock(mutex_);
    outcomes.emplace_back(std::string(to_string(record.outcome)) + ":" + std::string(record.reason));
    tokens_saved += record.saved.total();
    tokens_spent += record.spent.total();
  }
  void on_learn(std::string_view result) override {
    const std::lock_guard lock(mutex_);
    learned.emplace_back(result);
  }
  void on_cache_error(Stage, ErrorCode) override { ++cache_errors; }
  void on_upstream_error(std::string_view label) override {
    const std::lock_guard lock(mutex_);
    upstream_errors.emplace_back(label);
  }

  std::vector<std::string> outcomes, learned, upstream_errors;
  uint64_t tokens_saved = 0, tokens_spent = 0;
  std::atomic<int> cache_errors{0};

 private:
  std::mutex mutex_;
};

inline std::string chat_answer(std::string_view content, std::string_view finish = "stop") {
  nlohmann::ordered_json document = {
      {"id", "chatcmpl-up"},
      {"object", "chat.completion"},
      {"created", 1},
      {"model", "m-1"},
      {"choices",
       {{{"index", 0},
         {"message", {{"role", "assistant"}, {"content", content}}},
         {"finish_reason", finish}}}},
      {"usage", {{"prompt_tokens", 11}, {"completion_tokens", 7}, {"total_tokens", 18}}}};
  return document.dump();
}

inline fakes::FakeAnswer json_answer(std::string body, int status = 200) {
  fakes::FakeAnswer answer;
  answer.status = status;
  answer.pieces = {std::move(body)};
  return answer;
}

/// Role chunk, one chunk per word, finish chunk, usage chunk when asked, [DONE].
inline fakes::FakeAnswer stream_answer(const std::vector<std::string>& words, bool usage,
                                       const std::string& finish = "stop") {
  const std::string head =
      R"(data: {"id":"chatcmpl-up","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[)";
  fakes::FakeAnswer answer;
  answer.headers = {{"Content-Type", "text/event-stream"}, {"x-request-id", "up-1"}};
  answer.pieces.push_back(
      head + R"({"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})" + "\n\n");
  for (const std::string& word : words)
    answer.pieces.push_back(head + R"({"index":0,"delta":{"content":)" + nlohmann::json(word).dump() +
                            R"(},"finish_reason":null}]})" + "\n\n");
  answer.pieces.push_back(head + R"({"index":0,"delta":{},"finish_reason":")" + finish + "\"}]}\n\n");
  if (usage)
    answer.pieces.push_back(
        head + R"(],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}})" + "\n\n");
  answer.pieces.push_back("data: [DONE]\n\n");
  return answer;
}

inline std::string chat_body(std::string_view question, std::string_view more = "") {
  return R"({"model":"m","messages":[{"role":"user","content":)" + nlohmann::json(question).dump() + "}]" +
         std::string(more) + "}";
}

class ProxyTest : public testing::Test {
 protected:
  using ExchangePtr = std::shared_ptr<fakes::FakeExchange>;

  ProxyTest() { remake(ProxyOptions{}); }
  ~ProxyTest() override { run_for(5); }

  /// The proxy anew, on the same cache and provider.
  void remake(const ProxyOptions& options, EnhancedCache* other_cache = nullptr) {
    ProxyParts parts;
    parts.cache = other_cache != nullptr ? other_cache : cache_.get();
    parts.upstream = upstream_;
    parts.embedder = embedder_;
    parts.instance_key = {1, 2, 3};
    parts.observer = &observer_;
    proxy_ = std::make_unique<Proxy>(options, std::move(parts));
  }

  ExchangePtr exchange(std::string target, std::string body, http::Headers headers = {},
                       std::string method = "POST") {
    return std::make_shared<fakes::FakeExchange>(io_, std::move(method), std::move(target),
                                                 std::move(headers), std::move(body));
  }
  void start(void (Proxy::*handler)(http::ExchangePtr), const ExchangePtr& exchange) {
    boost::asio::post(io_, [this, handler, exchange] { (proxy_.get()->*handler)(exchange); });
  }
  /// Runs the loop until the exchange is answered (or 10 s have gone, which fails the test).
  void finish(const ExchangePtr& exchange) {
    run_until([&exchange] { return exchange->done(); });
    EXPECT_TRUE(exchange->done()) << "no answer";
  }
  template <typename Ready>
  void run_until(Ready ready) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!ready() && std::chrono::steady_clock::now() < limit) {
      io_.restart();
      if (io_.run_for(std::chrono::milliseconds(1)) == 0) std::this_thread::yield();
    }
  }
  void run_for(int milliseconds) {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(milliseconds));
  }

  ExchangePtr chat(std::string body, http::Headers headers = {},
                   std::string target = "/v1/chat/completions") {
    const ExchangePtr made = exchange(std::move(target), std::move(body), std::move(headers));
    start(&Proxy::handle_chat, made);
    finish(made);
    return made;
  }
  ExchangePtr ask(std::string_view question, std::string_view more = "", http::Headers headers = {}) {
    return chat(chat_body(question, more), std::move(headers));
  }
  static std::string content(const ExchangePtr& exchange) {
    const auto document = nlohmann::json::parse(exchange->answer_body, nullptr, false);
    if (!document.is_object() || !document.contains("choices")) return "?" + exchange->answer_body;
    return document["choices"][0]["message"]["content"];
  }
  static std::string error_message(const ExchangePtr& exchange) {
    const auto document = nlohmann::json::parse(exchange->answer_body, nullptr, false);
    return document.is_object() && document.contains("error") ? document["error"]["message"] : "";
  }

  boost::asio::io_context io_;
  RecordingObserver observer_;
  std::shared_ptr<fakes::FakeEmbedder> embedder_ = std::make_shared<fakes::FakeEmbedder>();
  std::unique_ptr<EnhancedCache> cache_ = EnhancedCache::open(
                                              [] {
                                                Options options;
                                                options.decision = DecisionPolicy::kStatic;
                                                return options;
                                              }(),
                                              embedder_)
                                              .value();
  /// Replace to change what the provider answers; by default it counts its answers.
  fakes::FakeUpstream::Script script_ = [this](const http::UpstreamRequest&) {
    return json_answer(chat_answer("answer " + std::to_string(++answers_)));
  };
  std::atomic<int> answers_{0};
  std::shared_ptr<fakes::FakeUpstream> upstream_ = std::make_shared<fakes::FakeUpstream>(
      [this](const http::UpstreamRequest& request) { return script_(request); });
  std::unique_ptr<Proxy> proxy_;
};

}  // namespace enhanced_gptcache::proxy
