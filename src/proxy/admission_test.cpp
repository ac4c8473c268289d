// What is learned from a provider's answer and what is not, and what the caller gets then.
#include "proxy/proxy_fixture.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

class AdmissionTest : public ProxyTest {
 protected:
  /// Asks twice; what the observer says about learning.
  std::string twice(std::string_view more = "") {
    const auto first = ask("the same question twice", more);
    last_ = ask("the same question twice", more);
    EXPECT_NE(last_->header("X-Cache"), "HIT");
    EXPECT_EQ(upstream_->calls(), 2U);
    EXPECT_EQ(first->status, last_->status);
    return observer_.learned.empty() ? "" : observer_.learned.back();
  }
  ExchangePtr last_;
};

TEST_F(AdmissionTest, AnswersThatAreNotLearned) {
  struct Case {
    std::string body;
    int status;
    std::string why;
  };
  const Case cases[] = {
      {chat_answer("cut off", "length"), 200, "finish_reason"},
      {chat_answer("filtered", "content_filter"), 200, "finish_reason"},
      {chat_answer(""), 200, "empty"},
      {chat_answer("I'm sorry, but I can't help with that."), 200, "refusal"},
      {"{\"choices\":[", 200, "malformed"},
      {"[1]", 200, "malformed"},
      {R"({"choices":[]})", 200, "no_choices"},
      {R"({"error":{"message":"late"},"choices":[{"index":0}]})", 200, "error"},
      {R"({"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},)"
       R"("finish_reason":"stop"}]})",
       200, "refusal"},
      {R"({"choices":[{"index":0,"message":"x","finish_reason":"stop"}]})", 200, "malformed"},
      {R"({"choices":[7]})", 200, "malformed"},
      {R"({"error":{"message":"boom"}})", 500, "status"},
      {R"({"error":{"message":"slow down"}})", 429, "status"},
      {std::string(200, '['), 200, "malformed"},
  };
  for (const Case& c : cases) {
    upstream_ =
        std::make_shared<fakes::FakeUpstream>([&c](const auto&) { return json_answer(c.body, c.status); });
    observer_.learned.clear();
    remake({});
    EXPECT_EQ(twice(), c.why);
    EXPECT_EQ(last_->status, c.status);
    EXPECT_EQ(last_->answer_body, c.body);
  }
}

TEST_F(AdmissionTest, TooLargeIsPassedOnOnly) {
  ProxyOptions options;
  options.learn_bytes_max = 1000;
  remake(options);
  script_ = [](const auto&) { return json_answer(chat_answer(std::string(600'000, 'x'))); };
  EXPECT_EQ(twice(), "too_large");
  EXPECT_EQ(last_->answer_body, chat_answer(std::string(600'000, 'x')));
  EXPECT_FALSE(last_->sent_whole);
}

TEST_F(AdmissionTest, CutJsonAnswerIsAnError) {
  script_ = [](const auto&) {
    auto answer = json_answer(chat_answer("x").substr(0, 40));
    answer.cut = true;
    return answer;
  };
  EXPECT_EQ(twice(), "cut");
  EXPECT_EQ(last_->status, 502);
  EXPECT_THAT(error_message(last_), HasSubstr("cut"));
}

TEST_F(AdmissionTest, NoStoreAndLearnOff) {
  ask("do not keep this one", "", {{"X-Cache-Control", "no-store"}});
  EXPECT_EQ(ask("do not keep this one", "", {{"X-Cache-Control", "no-store"}})->header("X-Cache"), "MISS");
  ProxyOptions options;
  options.learn = false;
  remake(options);
  ask("nor this one");
  EXPECT_EQ(ask("nor this one")->header("X-Cache"), "MISS");
  EXPECT_TRUE(observer_.learned.empty());
}

TEST_F(AdmissionTest, ToolCallsAreLearnedForTheSameWordsOnly) {
  script_ = [](const auto&) {
    return json_answer(
        R"({"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,)"
        R"("message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
        R"("function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"}]})");
  };
  const std::string tools = R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
  ask("How do I call the weather tool?", tools);
  EXPECT_EQ(ask("How do I call the weather tool?", tools)->header("X-Cache-Layer"), "exact");
  EXPECT_EQ(ask("How can I call the weather tool?", tools)->header("X-Cache"), "MISS");
}

TEST_F(AdmissionTest, ErrorsBeforeTheFirstByte) {
  struct Case {
    ErrorCode kind;
    const char* message;
    int status;
    const char* code;
    const char* retry_after;
  };
  const Case cases[] = {
      {ErrorCode::kUnavailable, "connection refused", 502, "upstream_unreachable", ""},
      {ErrorCode::kUpstream, "garbage", 502, "upstream_error", ""},
      {ErrorCode::kDeadline, "no first byte", 504, "upstream_timeout", ""},
      {ErrorCode::kUnavailable, "upstream \"default\" (h:1) is left alone after repeated failures", 503,
       "upstream_unavailable", "10"},
      {ErrorCode::kOverloaded, "queue", 503, "upstream_unavailable", "10"},
  };
  for (const Case& c : cases) {
    script_ = [&c](const auto&) {
      fakes::FakeAnswer answer;
      answer.error = Error{c.kind, c.message};
      return answer;
    };
    for (const char* more : {"", R"(,"stream":true)"}) {
      const auto failed = ask("will this fail?", more);
      EXPECT_EQ(failed->status, c.status);
      const auto document = nlohmann::json::parse(failed->answer_body);
      EXPECT_EQ(document["error"]["code"], c.code);
      EXPECT_EQ(failed->header("Retry-After"), c.retry_after);
      EXPECT_EQ(failed->header("X-Cache"), "MISS");
      EXPECT_EQ(failed->header("X-Cache-Reason"), "upstream_error");
    }
  }
}

TEST_F(AdmissionTest, ForeignErrorBodiesGetTheRightForm) {
  script_ = [](const auto&) {
    auto answer = json_answer("<html>Bad gateway</html>", 502);
    answer.headers = {{"Content-Type", "text/html"}, {"Retry-After", "3"}};
    return answer;
  };
  const auto failed = ask("html?", R"(,"stream":true)");
  EXPECT_EQ(failed->status, 502);
  EXPECT_THAT(error_message(failed), HasSubstr("<html>"));
  EXPECT_EQ(failed->header("Content-Type"), "application/json");
  EXPECT_EQ(failed->header("Retry-After"), "3");
}

TEST_F(AdmissionTest, LargeErrorBodiesArePassedWholeOrReplaced) {
  std::string body = R"({"error":{"message":")" + std::string(300'000, 'x') + R"("}})";
  script_ = [&body](const auto&) {
    auto answer = json_answer(body.substr(0, 100'000), 400);
    for (size_t at = 100'000; at < body.size(); at += 100'000)
      answer.pieces.push_back(body.substr(at, 100'000));
    return answer;
  };
  for (const char* more : {"", R"(,"stream":true)"}) {
    const auto whole = ask("a large error", more);
    EXPECT_EQ(whole->status, 400);
    EXPECT_TRUE(whole->answer_body == body) << whole->answer_body.size() << " bytes";
  }
  body = std::string((1 << 20) + 1, 'x');
  for (const char* more : {"", R"(,"stream":true)"}) {
    const auto replaced = ask("a larger error", more);
    EXPECT_EQ(replaced->status, 502);
    EXPECT_THAT(error_message(replaced), HasSubstr("larger than 1048576 bytes"));
    EXPECT_THAT(error_message(replaced), HasSubstr("status 400"));
  }
}

/// Every call of the cache fails.
class BrokenCache final : public EnhancedCache {
 public:
  EntryPtr find_exact(const Prompt&, const LookupOptions&) override { return nullptr; }
  Result<Lookup> lookup(const Prompt&, const LookupOptions&) override { return broken(); }
  void lookup_async(Prompt, LookupOptions, LookupCallback done) override {
    if (!silent) done(broken());
  }
  Result<Stored> store(const StoreRequest&) override { return broken(); }
  void store_async(StoreRequest, StoreCallback done) override { done(broken()); }
  uint64_t generation() const override { return 0; }
  std::string record_exact_hit(const Prompt&, const Entry&) override { return {}; }
  Result<std::string> get_or_compute(const Prompt&, const std::function<Result<std::string>()>&) override {
    return broken();
  }
  Result<Explanation> explain(const Prompt&, const LookupOptions&) override { return broken(); }
  Result<FeedbackResult> feedback(const Feedback&) override { return broken(); }
  EntryPtr get(std::string_view, std::string_view) const override { return nullptr; }
  bool remove(std::string_view, std::string_view) override { return false; }
  std::vector<EntryPtr> list(const Filter&, size_t, std::string_view) const override { return {}; }
  size_t invalidate(const Filter&, bool) override { return 0; }
  size_t flush(std::string_view, std::optional<std::string_view>) override { return 0; }
  Result<ErasedSubject> erase(std::string_view, std::string_view, std::optional<std::string_view>) override {
    return broken();
  }
  Result<std::vector<EntryPtr>> list_subject(std::string_view, std::string_view,
                                             std::optional<std::string_view>, size_t,
                                             std::string_view) const override {
    return broken();
  }
  std::string subject_cursor(const Entry&) const override { return {}; }
  std::optional<double> learned_threshold(std::string_view, std::string_view) const override { return {}; }
  Result<void> reseal() override { return broken(); }
  EncryptionStats encryption_stats() const override { return {}; }
  Result<void> commit() override { return broken(); }
  void commit_async(CommitCallback done) override { done(broken()); }
  Result<void> checkpoint(const std::string&) override { return broken(); }
  Result<void> set_options(const Options&) override { return broken(); }
  Options options() const override { return {}; }
  CacheStats stats() const override { return {}; }
  StorageStats storage_stats() const override { return {}; }
  bool silent = false;

 private:
  static tl::unexpected<Error> broken() { return fail(ErrorCode::kUnavailable, "the cache is broken"); }
};

TEST_F(AdmissionTest, ABrokenCacheDoesNotStopAnybody) {
  BrokenCache broken;
  remake({}, &broken);
  const auto answered = ask("does it still work?");
  EXPECT_EQ(answered->status, 200);
  EXPECT_EQ(answered->header("X-Cache-Reason"), "cache_error");
  EXPECT_EQ(observer_.cache_errors, 2);  // the look-up and the store
  broken.silent = true;
  ProxyOptions options;
  options.lookup_timeout_ms = 20;
  remake(options, &broken);
  EXPECT_EQ(ask("does it still work?")->status, 200);
  EXPECT_EQ(observer_.cache_errors, 4);
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
