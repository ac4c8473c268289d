// The other paths: completions, embeddings, models, pass-through, and the controls in action.
#include <cstring>

#include "proxy/embeddings.h"
#include "proxy/proxy_fixture.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

class DialectsTest : public ProxyTest {
 protected:
  ExchangePtr call(void (Proxy::*handler)(http::ExchangePtr), std::string target, std::string body,
                   http::Headers headers = {}, std::string method = "POST") {
    const ExchangePtr made =
        exchange(std::move(target), std::move(body), std::move(headers), std::move(method));
    start(handler, made);
    finish(made);
    return made;
  }
  ExchangePtr embed(std::string body) {
    return call(&Proxy::handle_embeddings, "/v1/embeddings", std::move(body));
  }
};

TEST_F(DialectsTest, ControlsInAction) {
  ask("Which controls are there?");
  const auto with = [this](http::Headers headers) {
    return ask("Which controls are there?", "", std::move(headers));
  };
  EXPECT_EQ(with({{"X-Cache-Namespace", "other"}})->header("X-Cache"), "MISS");
  EXPECT_EQ(with({{"X-Cache-Namespace", "other"}})->header("X-Cache"), "HIT");
  EXPECT_EQ(with({{"X-Cache-Type", "off"}})->header("X-Cache-Reason"), "type_off");
  EXPECT_EQ(with({{"X-Cache-Type", "semantic"}})->header("X-Cache-Layer"), "semantic");
  EXPECT_EQ(with({{"X-Cache-Control", "max-age=3600"}})->header("X-Cache"), "HIT");
  EXPECT_EQ(with({{"Cache-Control", "no-cache"}})->header("X-Cache"), "HIT");
  const auto refresh = with({{"X-Cache-Control", "no-cache"}});
  EXPECT_EQ(refresh->header("X-Cache"), "REFRESH");
  EXPECT_EQ(content(with({})), content(refresh));
  EXPECT_EQ(ask("Which controls are those there?", "", {{"X-Cache-Type", "exact"}})->header("X-Cache-Reason"),
            "exact_only");
  EXPECT_EQ(ask("Which controls exist there?", "", {{"X-Cache-Threshold", "1"}})->header("X-Cache"), "MISS");
  const auto bad = with({{"X-Cache-Threshold", "2"}});
  EXPECT_EQ(bad->status, 400);
  EXPECT_EQ(bad->header("X-Cache-Reason"), "invalid_request");
  EXPECT_EQ(nlohmann::json::parse(bad->answer_body)["error"]["param"], "X-Cache-Threshold");
}

TEST_F(DialectsTest, ConditionsOfTheCallerAreWithheldWhereOthersMayGetTheAnswer) {
  const http::Headers conditions = {{"If-None-Match", "\"a\""}, {"If-Match", "*"},
                                    {"If-Modified-Since", "x"}, {"If-Unmodified-Since", "x"},
                                    {"If-Range", "\"a\""},      {"Range", "bytes=0-1"},
                                    {"X-Other", "kept"}};
  ask("A conditional question", "", conditions);
  call(&Proxy::handle_uncached, "/v1/responses", R"({"model":"m","input":"x"})", conditions);
  const auto requests = upstream_->requests();
  ASSERT_EQ(requests.size(), 2U);
  for (const http::Header& condition : conditions) {
    const bool kept = condition.name == "X-Other";
    EXPECT_EQ(http::find_header(requests[0].headers, condition.name) != nullptr, kept) << condition.name;
    EXPECT_NE(http::find_header(requests[1].headers, condition.name), nullptr) << condition.name;
  }
}

TEST_F(DialectsTest, ACallerThatLeavesCancelsACallThatHasNoAnswerYet) {
  script_ = [](const auto&) {
    auto answer = json_answer("{}");
    answer.hold_before = 0;
    return answer;
  };
  std::weak_ptr<fakes::FakeExchange> left;
  {
    const ExchangePtr made = exchange("/v1/responses", R"({"model":"m","input":"x"})");
    left = made;
    start(&Proxy::handle_uncached, made);
    run_until([&] { return upstream_->calls() == 1; });
    boost::asio::post(io_, [made] { made->leave(); });
  }
  run_until([&] { return left.expired(); });
  EXPECT_TRUE(left.expired()) << "nothing waits for the provider any more";
  EXPECT_EQ(observer_.outcomes.size(), 1U);
}

TEST_F(DialectsTest, ACallerThatLeavesCancelsAnAnswerUnderWay) {
  script_ = [](const auto&) {
    auto answer = json_answer("first");
    answer.pieces.push_back("second");
    answer.hold_before = 1;
    return answer;
  };
  const ExchangePtr made = exchange("/v1/responses", R"({"model":"m","input":"x"})");
  start(&Proxy::handle_uncached, made);
  run_until([&] { return made->answers == 1; });
  boost::asio::post(io_, [&] { made->leave(); });
  run_until([&] { return made.use_count() == 1; });
  EXPECT_EQ(made.use_count(), 1);
  EXPECT_GE(upstream_->cancelled, 1);
}

TEST_F(DialectsTest, OnlyIfCached) {
  const http::Headers only = {{"X-Cache-Control", "only-if-cached"}};
  const auto miss = ask("Nobody asked this before", "", only);
  EXPECT_EQ(miss->status, 504);
  EXPECT_EQ(miss->header("X-Cache-Reason"), "only_if_cached");
  EXPECT_EQ(upstream_->calls(), 0U);
  ask("Nobody asked this before");
  EXPECT_EQ(ask("Nobody asked this before", "", only)->header("X-Cache"), "HIT");
}

TEST_F(DialectsTest, TagsSubjectAndTtlAreStored) {
  ask("Keep the labels of this one", R"(,"user":"bob")", {{"X-Cache-Tags", "t1,t2"}, {"X-Cache-TTL", "100"}});
  ask("Elephants remember their owner", R"(,"user":"bob")", {{"X-Cache-Subject", "alice"}});
  Filter filter;
  filter.tenant = "anonymous";
  filter.tags = {"t2"};
  const auto tagged = cache_->list(filter, 10, {});
  ASSERT_EQ(tagged.size(), 1U);
  EXPECT_EQ(tagged[0]->subject(), "bob");
  EXPECT_EQ(tagged[0]->tokens_completion(), 7U);
  EXPECT_NEAR(static_cast<double>(tagged[0]->expires_ms() - tagged[0]->created_ms()), 100'000.0, 6000.0);
  filter.tags.clear();
  filter.subject = "alice";
  EXPECT_EQ(cache_->list(filter, 10, {}).size(), 1U);
}

TEST_F(DialectsTest, BadInputOnTheWire) {
  struct Case {
    std::string body;
    const char* message;
  };
  const std::vector<Case> cases = {{"{", "could not parse"},
                                   {R"({"model":"m"})", "messages"},
                                   {R"({"model":"m","messages":[]})", "empty array"},
                                   {chat_body("x", R"(,"cache":7)"), "'cache': expected an object"},
                                   {chat_body("x", R"(,"stream":"x")"), "'stream'"}};
  for (const Case& c : cases) {
    const auto refused = chat(c.body);
    EXPECT_EQ(refused->status, 400);
    EXPECT_THAT(error_message(refused), HasSubstr(c.message));
    EXPECT_EQ(refused->header("X-Cache"), "BYPASS");
  }
  EXPECT_EQ(upstream_->calls(), 0U);
  EXPECT_EQ(nlohmann::json::parse(openai_error(413, "too large").body)["error"]["code"], "request_too_large");
  EXPECT_EQ(openai_error(503, "full").headers.back().name, "Retry-After");
  for (const int status : {401, 403, 429, 504, 500, 404}) EXPECT_FALSE(error_type(status).empty());
}

TEST_F(DialectsTest, Completions) {
  script_ = [](const auto&) {
    return json_answer(R"({"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{)"
                       R"("index":0,"text":" upon a time","logprobs":null,"finish_reason":"stop"}]})");
  };
  const std::string body = R"({"model":"m","prompt":"How does the story about dragons begin?"})";
  EXPECT_EQ(call(&Proxy::handle_completions, "/v1/completions", body)->header("X-Cache"), "MISS");
  EXPECT_EQ(upstream_->requests()[0].path, "/completions");
  const auto hit = call(&Proxy::handle_completions, "/v1/completions", body);
  EXPECT_EQ(hit->header("X-Cache"), "HIT");
  EXPECT_THAT(nlohmann::json::parse(hit->answer_body)["id"].get<std::string>(), testing::StartsWith("cmpl-"));
  const auto stream =
      call(&Proxy::handle_completions, "/v1/completions",
           R"({"model":"m","prompt":"How does the story about dragons begin?","stream":true})");
  EXPECT_THAT(stream->answer_body, HasSubstr(R"("text":" time","logprobs":null)"));
  EXPECT_EQ(ask("How does the story about dragons begin?")->header("X-Cache"), "MISS");  // another dialect
}

TEST_F(DialectsTest, LocalEmbeddings) {
  const auto one = embed(R"({"model":"sentence-transformers/all-MiniLM-L6-v2","input":"hello big world"})");
  ASSERT_EQ(one->status, 200) << one->answer_body;
  EXPECT_EQ(one->header("X-Cache-Reason"), "local_model");
  const auto document = nlohmann::json::parse(one->answer_body);
  const auto expected = embedder_->embed("hello big world")->values;
  EXPECT_EQ(document["data"][0]["embedding"].get<std::vector<float>>(), expected);
  EXPECT_EQ(document["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(document["model"], "sentence-transformers/all-MiniLM-L6-v2");

  const auto two =
      embed(R"({"model":"all-MiniLM-L6-v2","input":["a b","c"],"encoding_format":"base64","dimensions":64})");
  const auto both = nlohmann::json::parse(two->answer_body);
  ASSERT_EQ(both["data"].size(), 2U);
  EXPECT_EQ(both["data"][1]["index"], 1);
  EXPECT_EQ(both["data"][1]["embedding"], base64_of(embedder_->embed("c")->values));
  EXPECT_EQ(upstream_->calls(), 0U);
}

TEST_F(DialectsTest, ManyEmbeddingsComeInOrder) {
  std::string inputs;
  for (int i = 0; i < 100; ++i)
    inputs += (i ? ",\"text number " : "\"text number ") + std::to_string(i) + "\"";
  const auto many = embed(R"({"model":"all-MiniLM-L6-v2","input":[)" + inputs + "]}");
  const auto document = nlohmann::json::parse(many->answer_body);
  ASSERT_EQ(document["data"].size(), 100U);
  for (const size_t i : {0U, 31U, 32U, 99U})
    EXPECT_EQ(document["data"][i]["embedding"].get<std::vector<float>>(),
              embedder_->embed("text number " + std::to_string(i))->values);
}

TEST_F(DialectsTest, BadEmbeddingRequests) {
  std::string long_text;
  for (int i = 0; i < 100; ++i) long_text += "word ";
  struct Case {
    std::string rest;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"", "Missing required parameter: 'input'"},
      {R"(,"input":[])", "empty array"},
      {R"(,"input":"")", "must not be empty"},
      {R"(,"input":[1,2])", "arrays of tokens"},
      {R"(,"input":[[1,2]])", "arrays of tokens"},
      {R"(,"input":7)", "arrays of tokens"},
      {R"(,"input":"a","dimensions":32)", "this model has 64"},
      {R"(,"input":"a","encoding_format":"hex")", "float or base64"},
      {",\"input\":\"" + long_text + "\"", "maximum context length is 62 tokens, but input 0 has 100"},
  };
  for (const Case& c : cases) {
    const auto refused = embed(R"({"model":"all-MiniLM-L6-v2")" + c.rest + "}");
    EXPECT_EQ(refused->status, 400) << c.rest;
    EXPECT_THAT(error_message(refused), HasSubstr(c.message));
  }
  ProxyOptions options;
  options.embedding_inputs_max = 2;
  remake(options);
  EXPECT_THAT(error_message(embed(R"({"model":"all-MiniLM-L6-v2","input":["a","b","c"]})")),
              HasSubstr("at most 2"));
  embedder_->fail_all(true);
  EXPECT_EQ(embed(R"({"model":"all-MiniLM-L6-v2","input":["a"]})")->status, 503);
}

TEST_F(DialectsTest, OtherEmbeddingsAreLearnedExactly) {
  script_ = [](const auto&) {
    return json_answer(
        R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1e-5]}],"model":"e"})");
  };
  const std::string body = R"({"model":"text-embedding-3-small","input":"a b c"})";
  EXPECT_EQ(embed(body)->header("X-Cache"), "MISS");
  const auto hit = embed(body);
  EXPECT_EQ(hit->header("X-Cache-Layer"), "exact");
  EXPECT_EQ(nlohmann::json::parse(hit->answer_body)["data"][0]["embedding"][1], 1e-5);
  EXPECT_EQ(embed(R"({"model":"text-embedding-3-small","input":"a b c","dimensions":2})")->header("X-Cache"),
            "MISS");
  EXPECT_EQ(embed(R"({"model":"text-embedding-3-small","input":"c b a"})")->header("X-Cache"), "MISS");
}

TEST_F(DialectsTest, Models) {
  script_ = [](const auto&) { return json_answer(R"({"object":"list","data":[{"id":"stub-1"}]})"); };
  const auto forwarded = call(&Proxy::handle_models, "/v1/models", "", {}, "GET");
  EXPECT_THAT(forwarded->answer_body, HasSubstr("stub-1"));
  EXPECT_EQ(upstream_->requests()[0].path, "/models");
  ProxyOptions options;
  options.upstream_is_default = true;
  remake(options);
  const auto local = call(&Proxy::handle_models, "/v1/models", "", {}, "GET");
  EXPECT_EQ(nlohmann::json::parse(local->answer_body)["data"][0]["id"], "all-MiniLM-L6-v2");
}

TEST_F(DialectsTest, PassThroughIsUntouchedAndUnbuffered) {
  script_ = [](const auto&) {
    fakes::FakeAnswer answer;
    answer.status = 201;
    answer.headers = {{"Content-Type", "application/x"},
                      {"Content-Encoding", "gzip"},
                      {"Content-Length", "6"},
                      {"Set-Cookie", "a=1"}};
    answer.pieces = {"abc", "def"};
    return answer;
  };
  const ExchangePtr upload = exchange("/v1/files?purpose=x&key=k", "",
                                      {{"Content-Type", "multipart/form-data"},
                                       {"Content-Length", "10"},
                                       {"Accept-Encoding", "zstd"},
                                       {"Authorization", "Bearer sk"}});
  upload->body_pieces = {"12345", "67890"};
  start(&Proxy::handle_pass_through, upload);
  finish(upload);
  EXPECT_EQ(upload->status, 201);
  EXPECT_EQ(upload->writes, (std::vector<std::string>{"abc", "def"}));
  EXPECT_EQ(upload->header("X-Cache"), "BYPASS");
  EXPECT_EQ(upload->header("X-Cache-Reason"), "uncached_path");
  EXPECT_EQ(upload->header("Content-Encoding"), "gzip");
  EXPECT_EQ(upload->header("Content-Length"), "6");
  EXPECT_EQ(upload->header("Set-Cookie"), "a=1");
  EXPECT_EQ(upstream_->pulled_body, "1234567890");
  const auto request = upstream_->requests().at(0);
  EXPECT_EQ(request.path, "/files?purpose=x&key=k");
  EXPECT_EQ(request.body_length, 10U);
  EXPECT_FALSE(request.retry_allowed);
  EXPECT_FALSE(request.from_root);
  EXPECT_EQ(*http::find_header(request.headers, "Accept-Encoding"), "zstd");

  const auto azure = call(&Proxy::handle_pass_through, "/openai/deployments/d/chat/completions?api-version=1",
                          "", {}, "PATCH");
  EXPECT_EQ(azure->status, 201);
  EXPECT_EQ(upstream_->requests().at(1).path, "/openai/deployments/d/chat/completions?api-version=1");
  EXPECT_TRUE(upstream_->requests().at(1).from_root);
  EXPECT_EQ(upstream_->requests().at(1).method, "PATCH");
}

TEST_F(DialectsTest, UncachedDialectsChooseTheRouteByModel) {
  call(&Proxy::handle_uncached, "/v1/responses", R"({"model":"routed","input":"x"})",
       {{"Authorization", "Bearer sk"}});
  const auto request = upstream_->requests().at(0);
  EXPECT_EQ(request.model, "routed");
  EXPECT_EQ(request.body, R"({"model":"routed","input":"x"})");
  EXPECT_EQ(http::find_header(request.headers, "Authorization"), nullptr);
  const auto odd = call(&Proxy::handle_uncached, "/v1/messages", "not json");
  EXPECT_EQ(odd->header("X-Cache-Reason"), "uncached_dialect");
  EXPECT_EQ(upstream_->requests().at(1).body, "not json");
}

TEST_F(DialectsTest, PassThroughErrors) {
  script_ = [](const auto&) {
    fakes::FakeAnswer answer;
    answer.error = Error{ErrorCode::kUnavailable, "connection refused"};
    return answer;
  };
  EXPECT_EQ(call(&Proxy::handle_pass_through, "/v1/files", "", {}, "GET")->status, 502);
  script_ = [](const auto&) {
    auto answer = json_answer("abc");
    answer.cut = true;
    return answer;
  };
  EXPECT_TRUE(call(&Proxy::handle_pass_through, "/v1/files", "", {}, "GET")->aborted);
  EXPECT_EQ(call(&Proxy::handle_pass_through, "/v1/files", "", {{"api-key", "egptc_x"}}, "GET")->status, 401);
  EXPECT_EQ(call(&Proxy::handle_uncached, "/v1/messages", "{}", {{"api-key", "egptc_x"}})->status, 401);
  EXPECT_EQ(call(&Proxy::handle_models, "/v1/models", "", {{"api-key", "egptc_x"}}, "GET")->status, 401);
  EXPECT_EQ(call(&Proxy::handle_embeddings, "/v1/embeddings", "{}", {{"api-key", "egptc_x"}})->status, 401);
  ProxyOptions options;
  options.upstream_is_default = true;
  remake(options);
  EXPECT_EQ(call(&Proxy::handle_pass_through, "/v1/files", "", {}, "GET")->status, 401);
}

TEST_F(DialectsTest, WebSocketsAreTunnelled) {
  script_ = [](const auto&) {
    fakes::FakeAnswer answer;
    answer.status = 101;
    answer.headers = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", "x"}};
    answer.pieces = {"frame down"};
    return answer;
  };
  const ExchangePtr socket =
      exchange("/v1/realtime?model=m", "",
               {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Key", "k"}}, "GET");
  socket->raw_in = {"frame up"};
  start(&Proxy::handle_pass_through, socket);
  finish(socket);
  EXPECT_EQ(socket->status, 101);
  EXPECT_EQ(socket->header("Upgrade"), "websocket");
  EXPECT_EQ(socket->header("Connection"), "Upgrade");
  EXPECT_EQ(upstream_->raw_sent, "frame up");
  EXPECT_NE(http::find_header(upstream_->requests().at(0).headers, "Upgrade"), nullptr);
}

TEST_F(DialectsTest, LeavingAPassThroughCancelsIt) {
  script_ = [](const auto&) {
    auto answer = json_answer("abc");
    answer.pieces = {"a", "b", "c"};
    answer.hold_before = 2;
    return answer;
  };
  const ExchangePtr leaving = exchange("/v1/files", "", {}, "GET");
  start(&Proxy::handle_pass_through, leaving);
  run_until([&] { return !leaving->writes.empty(); });
  boost::asio::post(io_, [&] { leaving->leave(); });
  run_until([&] { return leaving->done(); });
  EXPECT_EQ(upstream_->cancelled, 1);
}

TEST(Base64, AllLengths) {
  const auto floats = [](size_t count) { return std::vector<float>(count, 1.0F); };
  EXPECT_EQ(base64_of({}), "");
  EXPECT_EQ(base64_of(floats(1)), "AACAPw==");
  EXPECT_EQ(base64_of(floats(2)), "AACAPwAAgD8=");
  EXPECT_EQ(base64_of(floats(3)), "AACAPwAAgD8AAIA/");
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
