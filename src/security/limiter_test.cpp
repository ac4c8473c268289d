#include "security/limiter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace enhanced_gptcache::security {
namespace {

constexpr int64_t kSecond = 1'000'000;

class FakeClock final : public base::Clock {
 public:
  int64_t wall_ms() const override { return now_us / 1000; }
  int64_t mono_us() const override { return now_us; }
  int64_t now_us = 5 * kSecond;
};

TEST(LimitTable, ABucketEmptiesAndFills) {
  LimitTable table(1000);
  const LimitRule rule{2, 4, 0};
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(table.take("a", 1, rule, 0).admitted);
  const LimitVerdict verdict = table.take("a", 1, rule, 0);
  EXPECT_FALSE(verdict.admitted);
  EXPECT_EQ(verdict.limit, 4);
  EXPECT_EQ(verdict.retry_after_s, 1);
  EXPECT_TRUE(table.take("b", 1, rule, 0).admitted) << "others have their own";
  EXPECT_FALSE(table.take("a", 1, rule, kSecond / 4).admitted);
  EXPECT_TRUE(table.take("a", 1, rule, kSecond / 2).admitted);
  EXPECT_FALSE(table.take("a", 1, rule, kSecond / 2).admitted);
  EXPECT_FALSE(table.take("a", 1, rule, 0).admitted) << "a clock that goes back fills nothing";
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(table.take("a", 1, rule, 100 * kSecond).admitted) << "never above the top";
  EXPECT_FALSE(table.take("a", 1, rule, 100 * kSecond).admitted);
  EXPECT_EQ(table.refused(), 5U);
}

TEST(LimitTable, WhatCostsMoreThanABucketWaitsForAFullOne) {
  LimitTable table(1000);
  const LimitRule rule{10, 10, 0};
  EXPECT_TRUE(table.take("a", 50, rule, 0).admitted);
  EXPECT_FALSE(table.take("a", 1, rule, 4 * kSecond).admitted) << "it owes 40";
  EXPECT_EQ(table.take("a", 50, rule, 0).retry_after_s, 1);
  EXPECT_TRUE(table.take("a", 50, rule, 6 * kSecond).admitted);
}

TEST(LimitTable, PlacesAreGivenBack) {
  LimitTable table(1000);
  const LimitRule rule{0, 1, 2};
  EXPECT_TRUE(table.take("a", 1, rule, 0).admitted);
  EXPECT_TRUE(table.take("a", 1, rule, 0).admitted);
  EXPECT_TRUE(table.take("a", 1, rule, 0).by_concurrency);
  table.release("a");
  EXPECT_TRUE(table.take("a", 1, rule, 0).admitted);
  table.release("nobody");
}

TEST(LimitTable, CannotGrow) {
  LimitTable table(160);
  const LimitRule rule{1, 1, 1};
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = std::to_string(i);
    if (table.take(name, 1, rule, 0).admitted && i >= 50) table.release(name);
  }
  EXPECT_LE(table.size(), 160U);
  // Whoever is running is not forgotten, so that it cannot start twice.
  size_t twice = 0;
  for (int i = 0; i < 50; ++i) twice += table.take(std::to_string(i), 1, rule, 10 * kSecond).admitted;
  EXPECT_EQ(twice, 0U);
}

TEST(LimitTable, CountsHoldUnderThreads) {
  LimitTable table(1000);
  const LimitRule rule{0, 1, 3};
  std::atomic<int> running{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (!table.take("a", 1, rule, 0).admitted) continue;
        const int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --running;
        table.release("a");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_TRUE(table.take("a", 3, rule, 0).admitted);
}

class LimiterTest : public testing::Test {
 protected:
  std::shared_ptr<Limiter> make(const LimitRules& rules) { return std::make_shared<Limiter>(rules, clock_); }
  FakeClock clock_;
};

TEST_F(LimiterTest, EachDimensionRefusesByItself) {
  LimitRules rules;
  rules.key = {1, 1, 0};
  rules.user = {1, 2, 0};
  rules.address = {1, 3, 0};
  const auto limiter = make(rules);
  std::shared_ptr<const void> lease;
  EXPECT_FALSE(limiter->admit("k1", "u", "ip", lease));
  EXPECT_EQ(limiter->admit("k1", "u", "ip", lease)->what, "key");
  EXPECT_FALSE(limiter->admit("k2", "u", "ip", lease));
  EXPECT_EQ(limiter->admit("k3", "u2", "ip", lease)->what, "address");
  EXPECT_EQ(limiter->admit("k4", "u", "ip2", lease)->what, "user");
  EXPECT_FALSE(limiter->admit("", "", "", lease)) << "who has no name is counted nowhere";
  const Limiter::Stats stats = limiter->stats();
  EXPECT_EQ(stats.refused_key, 1U);
  EXPECT_EQ(stats.refused_user, 1U);
  EXPECT_EQ(stats.refused_address, 1U);
}

TEST_F(LimiterTest, ALeaseHoldsItsPlacesWhateverHappensMeanwhile) {
  LimitRules rules;
  rules.key.concurrent = 1;
  rules.address.concurrent = 2;
  auto limiter = make(rules);
  std::shared_ptr<const void> first, second, third;
  EXPECT_FALSE(limiter->admit("k", "", "ip", first));
  EXPECT_EQ(limiter->admit("k", "", "ip", second)->what, "key");
  EXPECT_FALSE(limiter->admit("k2", "", "ip", second)) << "the refused one has left no place taken";
  EXPECT_EQ(limiter->admit("k3", "", "ip", third)->what, "address");
  first.reset();
  EXPECT_FALSE(limiter->admit("k", "", "ip", first));
  limiter->set_rules({});
  limiter.reset();
  first.reset();
  second.reset();
}

TEST_F(LimiterTest, InsertsAndProbesAreCountedByKey) {
  LimitRules rules;
  rules.inserts = {10, 10, 0};
  rules.probes_per_minute = 5;
  rules.refuse_probes = true;
  const auto limiter = make(rules);
  Identity who, loader;
  who.id = "key:1";
  loader.id = "key:2";
  loader.trusted = true;
  EXPECT_TRUE(limiter->may_insert(who, 10));
  EXPECT_FALSE(limiter->may_insert(who, 1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(limiter->may_insert(loader, 1000));
    limiter->saw_lookup(loader, false, 0.95);
    limiter->saw_lookup(who, true, 0.95);
    limiter->saw_lookup(who, false, 0.5);
  }
  EXPECT_TRUE(limiter->may_match(who));
  for (int i = 0; i < 5; ++i) limiter->saw_lookup(who, false, 0.9);
  EXPECT_FALSE(limiter->may_match(who));
  EXPECT_TRUE(limiter->may_match(loader));
  clock_.now_us += 13 * kSecond;
  EXPECT_TRUE(limiter->may_match(who)) << "quiet for long enough to have earned one";
  rules.refuse_probes = false;
  limiter->set_rules(rules);
  for (int i = 0; i < 50; ++i) limiter->saw_lookup(who, false, 0.9);
  EXPECT_TRUE(limiter->may_match(who));
  EXPECT_GT(limiter->stats().suspects, 0U);
  EXPECT_EQ(limiter->stats().near_misses, 55U);
}

}  // namespace
}  // namespace enhanced_gptcache::security
