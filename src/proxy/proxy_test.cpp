#include "proxy/proxy_fixture.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

TEST_F(ProxyTest, MissThenExactHitThenSemanticHit) {
  const auto miss = ask("How do I reset my password?");
  EXPECT_EQ(miss->status, 200);
  EXPECT_EQ(miss->header("X-Cache"), "MISS");
  EXPECT_EQ(miss->header("X-Cache-Reason"), "empty");
  EXPECT_TRUE(miss->sent_whole);
  EXPECT_EQ(content(miss), "answer 1");

  const auto exact = ask("How do I reset my password?");
  EXPECT_EQ(exact->header("X-Cache"), "HIT");
  EXPECT_EQ(exact->header("X-Cache-Layer"), "exact");
  EXPECT_EQ(exact->header("Age"), "0");
  EXPECT_FALSE(exact->header("X-Cache-Request-Id").empty());
  EXPECT_EQ(exact->header("X-Cache-Similarity"), "");
  EXPECT_EQ(exact->header("Content-Type"), "application/json");
  EXPECT_EQ(content(exact), "answer 1");
  EXPECT_EQ(exact->notes.tokens_prompt, 11U);
  EXPECT_EQ(exact->notes.tokens_completion, 7U);

  const auto semantic = ask("How can I reset my password?");
  EXPECT_EQ(semantic->header("X-Cache"), "HIT");
  EXPECT_EQ(semantic->header("X-Cache-Layer"), "semantic");
  EXPECT_EQ(content(semantic), "answer 1");
  EXPECT_EQ(upstream_->calls(), 1U);
  EXPECT_THAT(observer_.outcomes,
              testing::ElementsAre("MISS:empty", "HIT:exact_match", "HIT:semantic_match"));
  EXPECT_THAT(observer_.learned, testing::ElementsAre("stored"));
  EXPECT_EQ(observer_.tokens_spent, 18U);
  EXPECT_EQ(observer_.tokens_saved, 36U);
}

TEST_F(ProxyTest, ProvidersTokensAreNotedApart) {
  const auto miss = ask("How many tokens is this?");
  EXPECT_EQ(miss->notes.tokens_prompt, 11U);
  EXPECT_EQ(miss->notes.tokens_completion, 7U);
}

TEST_F(ProxyTest, AnExactHitTakesFeedback) {
  ask("How do I reset my password?");
  const auto hit = ask("How do I reset my password?");
  ASSERT_EQ(hit->header("X-Cache-Layer"), "exact");
  Feedback feedback;
  feedback.tenant = hit->notes.key_id;
  feedback.request_id = hit->header("X-Cache-Request-Id");
  feedback.correct = false;
  const auto told = cache_->feedback(feedback);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(told->action, "removed");
  EXPECT_EQ(ask("How do I reset my password?")->header("X-Cache"), "MISS");
}

TEST_F(ProxyTest, HitsHaveFreshIdAndCreatedAndNothingElseNew) {
  ask("What is the capital of France?");
  const auto one = nlohmann::json::parse(ask("What is the capital of France?")->answer_body);
  const auto two = nlohmann::json::parse(ask("What is the capital of France?")->answer_body);
  EXPECT_NE(one["id"], two["id"]);
  EXPECT_THAT(one["id"].get<std::string>(), testing::StartsWith("chatcmpl-"));
  EXPECT_GT(one["created"].get<int64_t>(), 1'700'000'000);
  auto expected = nlohmann::json::parse(chat_answer("answer 1"));
  expected["id"] = one["id"];
  expected["created"] = one["created"];
  EXPECT_EQ(one, expected);
}

TEST_F(ProxyTest, OrderAndBlanksDoNotMatterKeyedFieldsDo) {
  chat(R"({"model":"m","messages":[{"role":"user","content":"Which is it?"}],"temperature":0.5})");
  const auto same =
      chat(R"( { "temperature":0.5, "messages":[ {"content":"Which is it?","role":"user"} ], "model":"m",)"
           R"( "user":"u", "metadata":{"a":"b"}, "stream":false } )");
  EXPECT_EQ(same->header("X-Cache-Layer"), "exact");
  for (const char* more :
       {R"(,"max_tokens":5)", R"(,"temperature":0.6)", R"(,"unknown_field":1)", R"(,"seed":1)"}) {
    const auto other = chat(chat_body("Which is it?", more));
    EXPECT_NE(other->header("X-Cache-Layer"), "exact") << more;
  }
  EXPECT_NE(chat(R"({"model":"m2","messages":[{"role":"user","content":"Which is it?"}],"temperature":0.5})")
                ->header("X-Cache"),
            "HIT");
}

TEST_F(ProxyTest, HotRequestsBypass) {
  ask("Tell me a story");
  const auto hot = ask("Tell me a story", R"(,"temperature":1.9)");
  EXPECT_EQ(hot->header("X-Cache"), "BYPASS");
  EXPECT_EQ(hot->header("X-Cache-Reason"), "temperature");
  EXPECT_EQ(ask("Tell me a story", R"(,"temperature":1.9)")->header("X-Cache"), "BYPASS");
  EXPECT_EQ(upstream_->calls(), 3U);
}

TEST_F(ProxyTest, TwoCredentialsNeverShare) {
  const std::vector<http::Headers> callers = {
      {},
      {{"Authorization", "Bearer a"}},
      {{"Authorization", "Bearer b"}},
      {{"x-api-key", "a"}},
      {{"api-key", "a"}},
      {{"x-goog-api-key", "a"}},
      {{"Authorization", "Bearer a"}, {"OpenAI-Organization", "o"}},
      {{"Authorization", "Bearer a"}, {"OpenAI-Project", "p"}},
  };
  for (const http::Headers& headers : callers)
    EXPECT_EQ(ask("Who am I talking to here?", "", headers)->header("X-Cache"), "MISS");
  EXPECT_EQ(chat(chat_body("Who am I talking to here?"), {}, "/v1/chat/completions?key=a")->header("X-Cache"),
            "MISS");
  for (const http::Headers& headers : callers)
    EXPECT_EQ(ask("Who am I talking to here?", "", headers)->header("X-Cache"), "HIT");
  EXPECT_EQ(upstream_->calls(), callers.size() + 1);
}

TEST_F(ProxyTest, OwnKeysAreRefusedAndNotForwarded) {
  for (const http::Headers& headers :
       {http::Headers{{"Authorization", "Bearer egptc_abc"}}, http::Headers{{"X-EGPTC-Key", "egptc_abc"}},
        http::Headers{{"api-key", "egptc_abc"}}}) {
    const auto refused = ask("hello there", "", headers);
    EXPECT_EQ(refused->status, 401);
    EXPECT_THAT(error_message(refused), HasSubstr("security is not enabled"));
    EXPECT_EQ(refused->header("X-Cache"), "BYPASS");
  }
  EXPECT_EQ(upstream_->calls(), 0U);
}

TEST_F(ProxyTest, MissingProviderKeyIsExplainedButHitsStillServe) {
  ask("What does the missing key say?");
  ProxyOptions options;
  options.upstream_is_default = true;
  remake(options);
  EXPECT_EQ(ask("What does the missing key say?")->header("X-Cache"), "HIT");
  const auto refused = ask("Something else entirely");
  EXPECT_EQ(refused->status, 401);
  EXPECT_THAT(error_message(refused), HasSubstr("EGPTC_UPSTREAM__API_KEY"));
  EXPECT_EQ(refused->header("X-Cache-Reason"), "no_upstream_key");
  EXPECT_EQ(ask("Something else entirely", "", {{"Authorization", "Bearer sk"}})->status, 200);
  upstream_->passes = false;  // the key is configured
  EXPECT_EQ(ask("Something else entirely")->status, 200);
}

TEST_F(ProxyTest, WhatIsForwarded) {
  ask("Forward this please", R"(,"cache":{"no-store":true},"x":1.50)",
      {{"Authorization", "Bearer sk"},
       {"X-Cache-TTL", "60"},
       {"x-bf-cache-ttl", "30s"},
       {"Cookie", "a=b"},
       {"Connection", "keep-alive, X-Hop"},
       {"X-Hop", "1"},
       {"Accept-Encoding", "zstd"},
       {"X-Custom", "kept"},
       {"Host", "here"}});
  const auto request = upstream_->requests().at(0);
  EXPECT_EQ(request.path, "/chat/completions");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.body,
            R"({"model":"m","messages":[{"role":"user","content":"Forward this please"}],"x":1.50})");
  std::vector<std::string> names;
  for (const auto& header : request.headers) names.push_back(header.name + "=" + header.value);
  EXPECT_THAT(names, testing::ElementsAre("Authorization=Bearer sk", "X-Custom=kept",
                                          "Accept-Encoding=gzip, deflate, br, zstd"));
}

TEST_F(ProxyTest, AnotherVendorSeesNoCredential) {
  chat(R"({"model":"routed","messages":[{"role":"user","content":"q"}]})",
       {{"Authorization", "Bearer sk"}, {"OpenAI-Project", "p"}, {"X-Other", "1"}},
       "/v1/chat/completions?key=abc&version=2");
  const auto request = upstream_->requests().at(0);
  EXPECT_EQ(request.path, "/chat/completions?version=2");
  EXPECT_EQ(http::find_header(request.headers, "Authorization"), nullptr);
  EXPECT_EQ(http::find_header(request.headers, "OpenAI-Project"), nullptr);
  EXPECT_NE(http::find_header(request.headers, "X-Other"), nullptr);
}

TEST_F(ProxyTest, ProviderHeadersAreKeptOnMisses) {
  script_ = [](const http::UpstreamRequest&) {
    auto answer = json_answer(chat_answer("x y z"));
    answer.headers = {
        {"Content-Type", "application/json"}, {"x-request-id", "r1"},   {"x-ratelimit-remaining-tokens", "9"},
        {"openai-processing-ms", "5"},        {"Content-Length", "9"},  {"Content-Encoding", "gzip"},
        {"X-Cache", "HIT from cdn"},          {"Set-Cookie", "__cf=1"}, {"Connection", "close"}};
    return answer;
  };
  const auto miss = ask("Which headers are kept?");
  EXPECT_EQ(miss->header("x-request-id"), "r1");
  EXPECT_EQ(miss->header("x-ratelimit-remaining-tokens"), "9");
  EXPECT_EQ(miss->header("openai-processing-ms"), "5");
  EXPECT_EQ(miss->header("X-Cache"), "MISS");
  for (const char* name : {"Content-Length", "Content-Encoding", "Set-Cookie", "Connection"})
    EXPECT_EQ(miss->header(name), "") << name;
}

TEST_F(ProxyTest, DebugHeadersOnlyWhenTurnedOn) {
  ask("Show me the debug headers");
  ProxyOptions options;
  options.debug_headers = true;
  remake(options);
  const auto hit = ask("Show me the debug headers");
  EXPECT_EQ(hit->header("X-Cache-Similarity"), "1.0000");
  EXPECT_FALSE(hit->header("X-Cache-Entry").empty());
  options.debug_headers = false;
  proxy_->set_options(options);
  EXPECT_EQ(ask("Show me the debug headers")->header("X-Cache-Entry"), "");
}

TEST_F(ProxyTest, NativeStringsServeBothFormsOtherJsonDoesNot) {
  const auto native = [](std::string_view query) {
    Prompt prompt = make_prompt(query, {}, {}, "m");
    prompt.tenant = "anonymous";
    return prompt;
  };
  StoreRequest text;
  text.prompt = native("native question one");
  text.text = "native answer";
  ASSERT_TRUE(cache_->store(text));
  StoreRequest json;
  json.prompt = native("native question two");
  json.response_json = R"({"a":1})";
  ASSERT_TRUE(cache_->store(json));

  const auto hit = ask("native question one");
  EXPECT_EQ(hit->header("X-Cache"), "HIT");
  EXPECT_EQ(content(hit), "native answer");
  const auto stream = ask("native question one", R"(,"stream":true)");
  EXPECT_THAT(stream->answer_body, HasSubstr("data: [DONE]"));
  EXPECT_EQ(stream->header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(ask("native question two")->header("X-Cache"), "MISS");
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
