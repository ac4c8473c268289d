#include "app/options_from_settings.h"

#include <gtest/gtest.h>

#include "config/settings_table.h"
#include "match/guards.h"

namespace enhanced_gptcache::app {
namespace {

TEST(Threads, SplitTheBudgetAndExplicitOnesWin) {
  config::Settings settings;
  const auto split = [&](size_t cores) {
    const ThreadBudget budget = split_threads(settings, cores);
    return std::pair(budget.server_threads, budget.embed_threads);
  };
  EXPECT_EQ(split(0), std::pair(size_t{1}, size_t{1}));
  EXPECT_EQ(split(1), std::pair(size_t{1}, size_t{1}));
  EXPECT_EQ(split(2), std::pair(size_t{1}, size_t{1}));
  EXPECT_EQ(split(5), std::pair(size_t{2}, size_t{3}));
  settings.server.threads = 7;
  settings.embedder.threads = 3;
  EXPECT_EQ(split(2), std::pair(size_t{7}, size_t{3}));
}

TEST(CacheOptions, UnitsAndEnums) {
  config::Settings settings;
  settings.cache.size_mb = 3;
  settings.cache.ttl_seconds = 5;
  settings.cache.decision = "static";
  settings.cache.mode = "shadow";
  settings.cache.ttl_jitter_percent = 10;
  settings.cache.similarity_threshold = 0.7;
  settings.storage.path = "/s";
  const Options options = cache_options(settings);
  EXPECT_EQ(options.bytes_max, size_t{3} << 20U);
  EXPECT_EQ(options.ttl_ms, 5000);
  EXPECT_EQ(options.decision, DecisionPolicy::kStatic);
  EXPECT_EQ(options.mode, CacheMode::kShadow);
  EXPECT_DOUBLE_EQ(options.ttl_jitter, 0.1);
  EXPECT_DOUBLE_EQ(options.tau.tau_min, 0.7);
  EXPECT_EQ(options.pca.model_path, "/s/pca_model.bin");
}

/// The settings table cannot ask src/match which guards there are, so this test holds the two together.
TEST(CacheOptions, TheTableKnowsEveryGuard) {
  std::string names;
  for (const match::Guard& guard : match::guards())
    names += (names.empty() ? "" : " ") + std::string(guard.name);
  EXPECT_EQ(config::keys()[config::find_key("cache.guards_off")].choices, names);
  config::Settings settings;
  settings.cache.guards_off = {"numbers", "names"};
  EXPECT_EQ(cache_options(settings).guards_off, settings.cache.guards_off);
}

TEST(UpstreamOptions, RoutesAndFallbacks) {
  config::Settings settings;
  settings.upstream.routes = {{"gpt-*", {"https://a/v1", "ka", ""}, {{"https://b/v1", "kb", ""}}}};
  settings.upstream.no_proxy = {"a", "b"};
  settings.resources.request_timeout_seconds = 1.5;
  const http::UpstreamOptions options = upstream_options(settings);
  ASSERT_EQ(options.routes.size(), 1U);
  EXPECT_EQ(options.routes[0].model_pattern, "gpt-*");
  EXPECT_EQ(options.routes[0].target.api_key, "ka");
  ASSERT_EQ(options.routes[0].fallbacks.size(), 1U);
  EXPECT_EQ(options.routes[0].fallbacks[0].base_url, "https://b/v1");
  EXPECT_EQ(options.no_proxy, "a,b");
  EXPECT_EQ(options.connect_timeout_ms, 1500);
}

TEST(Model, FoldersAndTheErrorThatNamesThem) {
  config::Settings settings;
  EXPECT_EQ(model_folders(settings)[0], "./models/all-MiniLM-L6-v2");
  settings.context.embedding_model = "plain-name";
  EXPECT_EQ(model_folders(settings)[1], "/app/models/plain-name");
  settings.embedder.model_dir = "/no/such/folder";
  const auto found = find_model(settings);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_NE(found.error().message.find("/no/such/folder"), std::string::npos);
}

TEST(Host, LoopbackOnly) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"})
    EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "example.org", ""})
    EXPECT_FALSE(is_loopback(host)) << host;
}

}  // namespace
}  // namespace enhanced_gptcache::app
