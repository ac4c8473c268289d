#include <gmock/gmock.h>

#include <thread>

#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kStored = "How do I restart the printer in room four?";
constexpr std::string_view kParaphrase = "How can I restart the printer in room four?";

TEST_F(CacheTest, AnEntryShowsWhatWasStored) {
  StoreRequest request;
  request.prompt = make_prompt(kStored, {}, "help", "m1");
  request.prompt.tenant = "t";
  request.text = "text";
  request.response_json = R"({"a":1})";
  request.completion = R"({"choices":[]})";
  request.ttl_ms = 5000;
  request.tags = {"x", "y"};
  request.subject = "subject";
  request.tokens_prompt = 7;
  request.tokens_completion = 9;
  const std::string id = put(request);
  EXPECT_EQ(id.size(), 32U);
  const EntryPtr entry = cache_->get("t", id);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->query(), kStored);
  EXPECT_EQ(entry->model(), "m1");
  EXPECT_EQ(entry->name_space(), "help");
  EXPECT_EQ(entry->text(), "text");
  EXPECT_EQ(entry->response_json(), R"({"a":1})");
  EXPECT_EQ(entry->completion(), R"({"choices":[]})");
  EXPECT_EQ(entry->dialect(), "chat");
  EXPECT_EQ(entry->created_ms(), clock_.wall_ms());
  EXPECT_EQ(entry->expires_ms(), clock_.wall_ms() + 5000);
  EXPECT_THAT(entry->tags(), ElementsAre("x", "y"));
  EXPECT_EQ(entry->subject(), "subject");
  EXPECT_TRUE(entry->semantic());
  EXPECT_EQ(entry->tokens_prompt(), 7U);
  EXPECT_EQ(entry->tokens_completion(), 9U);
  const store::EntryView view = std::static_pointer_cast<const Record>(entry)->view();
  EXPECT_TRUE(view.text(store::EntryText::kEmbedding).empty()) << "the index has it";
  const auto vector = embedder_->embed(entry->query()).value().values;
  const store::EntryBytes whole = store::unpack_entry(view.bytes(), "epoch", vector);
  const auto parsed = store::EntryView::parse(whole.view());
  ASSERT_TRUE(parsed) << "what a disk is given";
  EXPECT_EQ(parsed->text(store::EntryText::kModelEpoch), "epoch");
  EXPECT_EQ(parsed->text(store::EntryText::kQuery), entry->query());
}

TEST_F(CacheTest, TheSameKeyReplaces) {
  const std::string first = put(prompt(kStored), "old");
  const EntryPtr held = cache_->get("local", first);
  const std::string second = put(prompt(kStored), "new");
  EXPECT_NE(first, second);
  EXPECT_EQ(ask(prompt(kStored)), "new");
  EXPECT_EQ(ask(prompt(kParaphrase)), "new");
  EXPECT_EQ(cache_->get("local", first), nullptr);
  EXPECT_EQ(held->text(), "old") << "a held entry outlives its replacement";
  EXPECT_EQ(cache_->stats().entries, 1U);
  EXPECT_EQ(cache_->stats().semantic_entries, 1U);
  EXPECT_EQ(cache_->stats().removals, 0U);
}

TEST_F(CacheTest, ReplacingLeavesNoMomentWithoutAnEntry) {
  put(prompt(kStored), "0");
  std::atomic<bool> is_done{false};
  std::atomic<size_t> misses{0};
  std::thread reader([&] {
    const Prompt asked = prompt(kStored);
    while (!is_done) misses += cache_->find_exact(asked, {}) == nullptr ? 1 : 0;
  });
  for (int i = 0; i < 2000; ++i) put(prompt(kStored), std::to_string(i));
  is_done = true;
  reader.join();
  EXPECT_EQ(misses, 0U);
}

TEST_F(CacheTest, EntriesExpireAndAreSwept) {
  StoreRequest request;
  request.prompt = prompt(kStored);
  request.text = "a";
  request.ttl_ms = 1000;
  const std::string id = put(request);
  put(prompt("Whales eat plankton every day"), "stays");
  clock_.advance_ms(990);
  EXPECT_EQ(ask(prompt(kStored)), "a");
  clock_.advance_ms(10);
  EXPECT_EQ(ask(prompt(kStored)), "miss: no_candidate");
  EXPECT_EQ(ask(prompt(kParaphrase)), "miss: no_candidate");
  EXPECT_EQ(cache_->get("local", id), nullptr);
  EXPECT_TRUE(cache_->list({.query_contains = "printer"}, 10, "").empty());
  EXPECT_EQ(cache_->stats().entries, 2U);
  cache_->maintain();
  EXPECT_EQ(cache_->stats().entries, 1U);
  EXPECT_EQ(cache_->stats().evictions_expired, 1U);
}

TEST_F(CacheTest, TheDefaultLifetimeIsSpread) {
  Options options = options_of_tests();
  options.ttl_ms = 1'000'000;
  options.ttl_jitter = 0.1;
  reopen(options);
  int64_t least = INT64_MAX;
  int64_t most = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string id = put(prompt("printer number " + std::to_string(i)), "a");
    const EntryPtr entry = cache_->get("local", id);
    least = std::min(least, entry->expires_ms() - entry->created_ms());
    most = std::max(most, entry->expires_ms() - entry->created_ms());
  }
  EXPECT_GE(least, 900'000);
  EXPECT_LE(most, 1'100'000);
  EXPECT_GT(most - least, 100'000);
  StoreRequest forever;
  forever.prompt = prompt(kStored);
  forever.ttl_ms = 0;
  EXPECT_EQ(cache_->get("local", put(forever))->expires_ms(), 0);
}

TEST_F(CacheTest, RefusesWhatIsTooLargeOrOutOfRange) {
  Options options = options_of_tests();
  options.entry_bytes_max = 2000;
  reopen(options);
  StoreRequest request;
  request.prompt = prompt(kStored);
  request.text = std::string(2001, 'x');
  const auto large = cache_->store(request);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(large.error().message, HasSubstr("2000"));
  request.text = std::string(1800, 'x');  // the text fits, the entry does not
  EXPECT_FALSE(cache_->store(request));
  request.text = "x";
  request.ttl_ms = -1;
  EXPECT_THAT(cache_->store(request).error().message, HasSubstr("ttl_ms is -1"));
  request.ttl_ms = INT64_MAX;
  EXPECT_FALSE(cache_->store(request));
  request.ttl_ms.reset();
  request.embedding = std::make_shared<const Embedding>(Embedding{{1.0F, 0.0F}, {}});
  EXPECT_THAT(cache_->store(request).error().message, HasSubstr("embedding has 2 values"));
  EXPECT_EQ(cache_->stats().store_refused, 5U);
  EXPECT_EQ(cache_->stats().entries, 0U);
}

TEST_F(CacheTest, AGivenEmbeddingIsNotComputedAgain) {
  const Lookup first = look(prompt("Whales eat plankton"));
  put(prompt(kStored), "a");
  const size_t calls = embedder_->calls();
  const Lookup lookup = look(prompt(kParaphrase));
  EXPECT_EQ(embedder_->calls(), calls + 1);
  StoreRequest request;
  request.prompt = prompt(kParaphrase);
  request.embedding = lookup.embedding;
  put(request);
  EXPECT_EQ(embedder_->calls(), calls + 1);
}

TEST_F(CacheTest, AsynchronousStoresAreFindableWhenTheyReport) {
  std::atomic<int> stored{0};
  const auto count = [&](Result<Stored> result) { stored += result ? 1 : 100; };
  StoreRequest request;
  request.prompt = prompt("?!");
  request.text = "exact only";
  cache_->store_async(request, count);
  EXPECT_EQ(stored, 1);  // no model needed: at once
  request.prompt = prompt(kStored);
  cache_->store_async(request, [&](Result<Stored> result) {
    EXPECT_TRUE(result && result->semantic);
    EXPECT_NE(cache_->find_exact(prompt(kStored), {}), nullptr);
    ++stored;
  });
  while (stored != 2) std::this_thread::yield();
  request.ttl_ms = -5;
  cache_->store_async(request, [&](Result<Stored> result) { stored += result ? 100 : 1; });
  while (stored < 3) std::this_thread::yield();
  EXPECT_EQ(stored, 3);
}

TEST_F(CacheTest, GetOrComputeComputesOnceForAll) {
  std::atomic<int> computed{0};
  std::atomic<int> waiting{0};
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      ++waiting;
      const auto answer = cache_->get_or_compute(prompt(kStored), [&]() -> Result<std::string> {
        ++computed;
        while (waiting < kThreads) std::this_thread::yield();
        return std::string("a");
      });
      EXPECT_EQ(answer.value(), "a");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(cache_->get_or_compute(prompt(kParaphrase), [] { return Result<std::string>("no"); }).value(),
            "a");
}

TEST_F(CacheTest, FailedComputationsAreToldAndNotStored) {
  const auto failing = []() -> Result<std::string> { return fail(ErrorCode::kUpstream, "down"); };
  EXPECT_EQ(cache_->get_or_compute(prompt(kStored), failing).error().message, "down");
  const auto throwing = []() -> Result<std::string> { throw std::runtime_error("broken"); };
  EXPECT_THAT(cache_->get_or_compute(prompt(kStored), throwing).error().message, HasSubstr("broken"));
  const auto throwing_other = []() -> Result<std::string> { throw 5; };
  EXPECT_FALSE(cache_->get_or_compute(prompt(kStored), throwing_other));
  EXPECT_EQ(cache_->stats().entries, 0U);
  StoreRequest json;
  json.prompt = prompt(kStored);
  json.response_json = "[1]";
  put(json);
  EXPECT_EQ(cache_->get_or_compute(prompt(kStored), failing).value(), "[1]");
}

TEST_F(CacheTest, OptionsAreCheckedAndTakeEffectAtOnce) {
  for (int i = 0; i < 50; ++i) put(prompt("printer number " + std::to_string(i)), std::string(2000, 'x'));
  Options options = options_of_tests();
  options.bytes_max = cache_->stats().bytes / 2;
  ASSERT_TRUE(cache_->set_options(options));
  EXPECT_LE(cache_->stats().bytes, options.bytes_max);
  EXPECT_GT(cache_->stats().evictions_size, 10U);
  EXPECT_EQ(cache_->options().bytes_max, options.bytes_max);

  struct Case {
    std::string field;
    void (*spoil)(Options&);
  };
  const Case cases[] = {
      {"similarity_threshold", [](Options& o) { o.similarity_threshold = 1.5; }},
      {"serve_percent", [](Options& o) { o.serve_percent = -1; }},
      {"ttl_jitter", [](Options& o) { o.ttl_jitter = 2; }},
      {"candidates", [](Options& o) { o.candidates = 0; }},
      {"context.window_size", [](Options& o) { o.context.window_size = 0; }},
      {"tau.learning_rate", [](Options& o) { o.tau.learning_rate = std::nan(""); }},
      {"key_bytes", [](Options& o) { o.key_bytes = "short"; }},
  };
  for (const Case& c : cases) {
    Options bad = options_of_tests();
    c.spoil(bad);
    const auto refused = cache_->set_options(bad);
    ASSERT_FALSE(refused) << c.field;
    EXPECT_THAT(refused.error().message, HasSubstr(c.field));
    EXPECT_FALSE(EnhancedCache::open(bad, nullptr)) << c.field;
  }
  EXPECT_EQ(cache_->options().bytes_max, options.bytes_max) << "a refused change changes nothing";
}

TEST_F(CacheTest, OpenGivesAWorkingCacheWithItsOwnThread) {
  Options options;
  options.key_bytes = std::string(32, 'k');
  auto opened = EnhancedCache::open(options, embedder_);
  ASSERT_TRUE(opened);
  StoreRequest request;
  request.prompt = prompt(kStored);
  request.text = "a";
  ASSERT_TRUE((*opened)->store(request));
  EXPECT_NE((*opened)->find_exact(request.prompt, {}), nullptr);
  EXPECT_TRUE((*opened)->options().key_bytes.empty()) << "the key is not handed out";
}

TEST_F(CacheTest, PcaTrainsOnTheFirstTenantInTheBackground) {
  Options options = options_of_tests();
  options.pca.training_samples = 20;
  options.pca.compression_threshold = 30;
  options.pca.target_dimensions = 8;
  options.pca.model_path = testing::TempDir() + "cache_pca_test.bin";
  reopen(options);
  const auto put_many = [&](int from, int to) {
    for (int i = from; i < to; ++i) put(prompt("topic" + std::to_string(i) + " printer room"), "a");
    cache_->maintain();
  };
  put_many(0, 25);
  EXPECT_FALSE(cache_->stats().pca_active) << "fitted, but below compression_threshold";
  put_many(25, 40);
  EXPECT_TRUE(cache_->stats().pca_active);
  PCAWrapper saved(options.pca);
  EXPECT_TRUE(saved.load(options.pca.model_path));
  options.pca.enabled = false;
  ASSERT_TRUE(cache_->set_options(options));
  EXPECT_FALSE(cache_->stats().pca_active);
  std::remove(options.pca.model_path.c_str());
}

}  // namespace
}  // namespace enhanced_gptcache::cache
