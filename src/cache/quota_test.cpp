// Quotas: a tenant over its own gives up its own least recently used entries, and nobody else's.

#include <thread>

#include "cache/cache_fixture.h"
#include "fakes/fake_entry_table.h"

namespace enhanced_gptcache::cache {
namespace {

class QuotaTest : public CacheTest {
 protected:
  static Prompt of(std::string_view tenant, int number) {
    Prompt prompt = make_prompt("Question number " + std::to_string(number) + "?");
    prompt.tenant = tenant;
    return prompt;
  }
  void put_for(std::string_view tenant, int number, size_t bytes = 100) {
    put(of(tenant, number), std::string(bytes, 'x'));
  }
  bool has(std::string_view tenant, int number) {
    LookupOptions exact;
    exact.semantic = false;
    return look(of(tenant, number), exact).entry != nullptr;
  }
  size_t count(std::string_view tenant) const {
    Filter filter;
    filter.tenant = tenant;
    return cache_->list(filter, 100'000, "").size();
  }
  void limit(size_t entries_max, size_t bytes_max = 0) {
    Options options = options_of_tests();
    options.tenant_entries_max = entries_max;
    options.tenant_bytes_max = bytes_max;
    const auto done = cache_->set_options(options);
    ASSERT_TRUE(done) << done.error().message;
  }
};

TEST_F(QuotaTest, TheTenantsOwnLeastRecentlyUsedGoes) {
  for (int i = 0; i < 20; ++i) put_for("quiet", i);
  limit(5);
  EXPECT_EQ(count("quiet"), 5U) << "a lower quota holds at once";
  for (int i = 0; i < 5; ++i) put_for("busy", i);
  ASSERT_TRUE(has("busy", 0));  // used: now 1 is the oldest
  for (int i = 5; i < 8; ++i) put_for("busy", i);
  EXPECT_EQ(count("busy"), 5U);
  for (const int gone : {1, 2, 3}) EXPECT_FALSE(has("busy", gone)) << gone;
  for (const int kept : {0, 4, 5, 6, 7}) EXPECT_TRUE(has("busy", kept)) << kept;
  for (int i = 15; i < 20; ++i) EXPECT_TRUE(has("quiet", i)) << "older than all of the busy tenant's";
  EXPECT_EQ(cache_->stats().evictions_quota, 18U);
  EXPECT_EQ(cache_->stats().evictions_size, 0U);
}

TEST_F(QuotaTest, ReplacingAnEntryEvictsNothing) {
  limit(2);
  put_for("a", 1);
  put_for("a", 2);
  for (int i = 0; i < 10; ++i) put_for("a", 2, 200);
  EXPECT_TRUE(has("a", 1));
  EXPECT_EQ(cache_->stats().evictions_quota, 0U);
}

TEST_F(QuotaTest, BytesAreCountedAndALargerEntryIsRefused) {
  limit(0, 100'000);
  for (int i = 0; i < 30; ++i) put_for("a", i, 10'000);
  put_for("b", 0, 10'000);
  EXPECT_GE(count("a"), 5U);
  EXPECT_LE(count("a"), 9U);
  EXPECT_TRUE(has("a", 29));
  EXPECT_FALSE(has("a", 0));
  const size_t before = count("a");
  StoreRequest large;
  large.prompt = of("a", 99);
  large.text = std::string(99'900, 'x');
  const auto refused = cache_->store(large);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("at most 100000"), std::string::npos) << refused.error().message;
  EXPECT_EQ(count("a"), before) << "what cannot fit pushes nothing out";
  limit(0);
  for (int i = 0; i < 30; ++i) put_for("a", i, 10'000);
  EXPECT_EQ(count("a"), 30U) << "0 is no limit";
}

TEST_F(QuotaTest, ThreadsOfOneTenantEndAtItsQuotaAndNeverTouchAnother) {
  limit(50);
  for (int i = 0; i < 50; ++i) put_for("quiet", i);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 300; ++i) {
        StoreRequest request;
        request.prompt = of("busy", t * 1000 + i);
        request.text = "x";
        EXPECT_TRUE(cache_->store(request));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count("busy"), 50U) << "not one more than has to goes, and not one fewer";
  EXPECT_EQ(count("quiet"), 50U);
  EXPECT_EQ(cache_->stats().evictions_quota, 4U * 300U - 50U);
}

TEST_F(QuotaTest, TheDiskFollowsAndAStartWithALowerQuotaTrims) {
  const auto disk = std::make_shared<fakes::FakeDisk>();
  Options options = options_of_tests();
  options.key_bytes = std::string(32, 'k');
  options.tenant_entries_max = 5;
  const auto restart = [&] {
    cache_.reset();
    cache_ =
        open_cache(options, embedder_, clock_, false, std::make_unique<fakes::FakeEntryTable>(disk)).value();
  };
  restart();
  for (int i = 0; i < 8; ++i) put_for("a", i);
  put_for("b", 0);
  ASSERT_TRUE(cache_->commit());
  restart();
  EXPECT_EQ(count("a"), 5U);
  EXPECT_FALSE(has("a", 2)) << "it left the disk too";
  options.tenant_entries_max = 2;
  restart();
  EXPECT_EQ(count("a"), 2U);
  EXPECT_TRUE(has("a", 7));
  EXPECT_TRUE(has("b", 0));
  ASSERT_TRUE(cache_->commit());
  options.tenant_entries_max = 0;
  restart();
  EXPECT_EQ(count("a"), 2U);
}

}  // namespace
}  // namespace enhanced_gptcache::cache
