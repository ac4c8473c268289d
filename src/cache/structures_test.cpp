// The small structures on their own: map, heap, list, ring, counters.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "base/pointer_map.h"
#include "cache/counters.h"
#include "cache/flights.h"
#include "cache/indexed_heap.h"
#include "cache/intrusive_list.h"
#include "cache/recency.h"
#include "cache/recent_decisions.h"
#include "cache/vouchers.h"
#include "cache/waiting_vectors.h"

namespace enhanced_gptcache::cache {
namespace {

TEST(PointerMap, BehavesLikeAMapUnderRandomOperations) {
  std::mt19937_64 random(1);
  base::PointerMap<int> map;
  std::map<base::Hash128, int*> model;
  std::vector<int> values(64);
  std::vector<base::Hash128> keys(3000);
  for (base::Hash128& key : keys) key = {random(), random()};
  for (int step = 0; step < 60000; ++step) {
    const base::Hash128& key = keys[random() % keys.size()];
    int* value = &values[random() % values.size()];
    // Phases of growing and of shrinking, so that tables are rebuilt both ways.
    if (random() % 10 < (step / 10000 % 2 == 0 ? 8U : 2U)) {
      const auto old = model.find(key);
      EXPECT_EQ(map.exchange(key, value), old == model.end() ? nullptr : old->second);
      model[key] = value;
    } else {
      const auto found = model.find(key);
      const bool is_expected = found != model.end() && found->second == value;
      EXPECT_EQ(map.erase(key, value), is_expected);
      if (found != model.end() && !is_expected) {
        EXPECT_TRUE(map.erase(key, found->second));
      }
      model.erase(key);
    }
  }
  EXPECT_EQ(map.size(), model.size());
  const base::EpochGuard pin;
  for (const base::Hash128& key : keys) {
    const auto found = model.find(key);
    EXPECT_EQ(map.find(key), found == model.end() ? nullptr : found->second);
  }
}

TEST(PointerMap, GivesMemoryBack) {
  base::PointerMap<int> map;
  int value = 0;
  EXPECT_EQ(map.bytes(), 0U);
  std::mt19937_64 random(2);
  std::vector<base::Hash128> keys(10000);
  for (base::Hash128& key : keys) {
    key = {random(), random()};
    map.exchange(key, &value);
  }
  EXPECT_GT(map.bytes(), keys.size() * 24);
  EXPECT_LT(map.bytes(), keys.size() * 24 * 6);
  for (const base::Hash128& key : keys) EXPECT_TRUE(map.erase(key, &value));
  EXPECT_EQ(map.bytes(), 0U);
}

TEST(PointerMap, ReadersSeeEveryKeyThatStaysWhileOthersComeAndGo) {
  base::PointerMap<int> map;
  int value = 0;
  std::vector<base::Hash128> kept;
  for (uint64_t i = 0; i < 500; ++i) kept.push_back({i * 7919, i});
  for (const base::Hash128& key : kept) map.exchange(key, &value);
  std::atomic<bool> is_done{false};
  std::atomic<size_t> lost{0};
  std::thread reader([&] {
    while (!is_done) {
      const base::EpochGuard pin;
      for (const base::Hash128& key : kept) lost += map.find(key) == nullptr ? 1 : 0;
    }
  });
  for (int round = 0; round < 20; ++round) {
    for (uint64_t i = 0; i < 2000; ++i) map.exchange({i, i + 1'000'000}, &value);
    for (uint64_t i = 0; i < 2000; ++i) map.erase({i, i + 1'000'000}, &value);
  }
  is_done = true;
  reader.join();
  EXPECT_EQ(lost, 0U);
}

struct Item {
  explicit Item(int64_t its_key) : key(its_key), used_us(its_key) {}
  int64_t key;
  std::atomic<int64_t> used_us;
  uint32_t place = kNotInHeap;
  ListHook<Item> hook;
};
using ItemHeap = IndexedHeap<Item, &Item::place>;

TEST(IndexedHeap, GivesTheSmallestUnderRandomRemovals) {
  std::mt19937_64 random(3);
  ItemHeap heap;
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 1000; ++i) {
    items.push_back(std::make_unique<Item>(static_cast<int64_t>(random() % 500)));
    heap.push(items.back()->key, *items.back());
  }
  std::shuffle(items.begin(), items.end(), random);
  for (int i = 0; i < 400; ++i) {
    heap.remove(*items.back());
    EXPECT_FALSE(heap.contains(*items.back()));
    items.pop_back();
  }
  std::vector<int64_t> expected;
  for (const auto& item : items) expected.push_back(item->key);
  std::sort(expected.begin(), expected.end());
  for (const int64_t key : expected) {
    EXPECT_EQ(heap.top_key(), key);
    heap.remove(heap.top());
  }
  EXPECT_TRUE(heap.empty());
  EXPECT_LE(heap.bytes(), 64U);
}

TEST(Vouchers, CountsEachOfManyOnce) {
  Vouchers vouchers;
  EXPECT_EQ(vouchers.count(), 0U);
  vouchers.add("one");
  vouchers.add("one");
  EXPECT_EQ(vouchers.count(), 1U);
  Vouchers heir;
  heir.add("two");
  heir.add_all(vouchers);
  heir.add_all(vouchers);
  EXPECT_EQ(heir.count(), 2U);
  EXPECT_FALSE(heir.is_trusted());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&heir] {
      for (int i = 0; i < 100; ++i) heir.add("principal " + std::to_string(i % 5));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(heir.count(), 7U);
  for (int i = 0; i < 100; ++i) heir.add("more " + std::to_string(i));
  EXPECT_EQ(heir.count(), Vouchers::kMost);
}

TEST(WaitingVectors, KeepsEachWhereItSaid) {
  WaitingVectors vectors;
  EXPECT_TRUE(vectors.at(0).empty());
  std::vector<std::string> all;
  for (size_t i = 0; i < 40; ++i) {
    all.emplace_back((size_t{1} << 20U) + i * 1000, static_cast<char>('a' + i % 26));
    EXPECT_EQ(vectors.add(all.back()), i);
  }
  for (uint32_t i = 0; i < 40; ++i) EXPECT_EQ(vectors.at(i), all[i]);
  EXPECT_TRUE(vectors.at(kNotInHeap).empty());
}

TEST(Recency, RepairsTheOrderWhenAsked) {
  ItemHeap heap;
  std::vector<std::unique_ptr<Item>> items;
  for (int64_t i = 0; i < 100; ++i) {
    items.push_back(std::make_unique<Item>(i));
    heap.push(i, *items.back());
  }
  for (int64_t i = 0; i < 90; ++i) items[static_cast<size_t>(i)]->used_us = 1000 - i;
  EXPECT_EQ(&least_recently_used(heap), items[90].get());
}

TEST(Recency, TakesTheOldestOfASampleWhenAllWereUsed) {
  ItemHeap heap;
  std::vector<std::unique_ptr<Item>> items;
  for (int64_t i = 0; i < 1000; ++i) {
    items.push_back(std::make_unique<Item>(i));
    heap.push(i, *items.back());
    items.back()->used_us = 10'000 - i;
  }
  const Item& victim = least_recently_used(heap);
  EXPECT_EQ(victim.used_us, 10'000 - static_cast<int64_t>(kRecencyLooksMax) + 1);
}

TEST(IntrusiveList, KeepsOrderThroughRemovals) {
  IntrusiveList<Item, &Item::hook> list;
  std::vector<std::unique_ptr<Item>> items;
  for (int64_t i = 0; i < 5; ++i) {
    items.push_back(std::make_unique<Item>(i));
    list.push_newest(*items.back());
  }
  list.remove(*items[0]);
  list.remove(*items[4]);
  list.remove(*items[2]);
  EXPECT_EQ(list.size(), 2U);
  EXPECT_EQ(list.newest(), items[3].get());
  EXPECT_EQ(list.older_than(*items[3]), items[1].get());
  EXPECT_EQ(list.newer_than(*items[1]), items[3].get());
  EXPECT_EQ(list.oldest(), items[1].get());
  list.remove(*items[1]);
  list.remove(*items[3]);
  EXPECT_EQ(list.newest(), nullptr);
  EXPECT_EQ(list.oldest(), nullptr);
}

TEST(RecentDecisions, ReturnsWhatWasRecordedAndRefusesForgeries) {
  const Keys keys(base::random_key(), "");
  RecentDecisions decisions(keys);
  Decision decision;
  decision.kind = Decision::Kind::kSemanticHit;
  decision.tenant = {1, 2};
  decision.tau_user = {3, 4};
  decision.entry_id = {5, 6};
  const std::string id = decisions.record(decision);
  const auto found = decisions.find(id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, decision.kind);
  EXPECT_EQ(found->tenant, decision.tenant);
  EXPECT_EQ(found->tau_user, decision.tau_user);
  EXPECT_EQ(found->entry_id, decision.entry_id);
  std::string forged = id;
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_FALSE(decisions.find(forged));
  EXPECT_FALSE(decisions.claim(forged));
  EXPECT_FALSE(RecentDecisions(Keys(base::random_key(), "")).find(id)) << "another instance's key";
  EXPECT_TRUE(decisions.claim(id));
  EXPECT_FALSE(decisions.claim(id));
}

TEST(RecentDecisions, ConcurrentRecordingNeverMixesSlots) {
  const Keys keys(base::random_key(), "");
  RecentDecisions decisions(keys);
  std::vector<std::thread> threads;
  std::atomic<size_t> mixed{0};
  for (uint64_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 5000; ++i) {
        Decision decision;
        decision.tenant = {t, i};
        decision.entry_id = {t, i};
        const auto found = decisions.find(decisions.record(decision));
        mixed += found && (found->tenant != decision.tenant || found->entry_id != decision.entry_id) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(mixed, 0U);
}

TEST(Counters, AddUpOverThreads) {
  Counters counters;
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) counters.add(Count::kStores);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters.sum(Count::kStores), 20'000U);
  EXPECT_EQ(counters.sum(Count::kRemovals), 0U);
}

TEST(Flights, AFollowerOfAFailedLeaderTriesOnceMore) {
  Flights flights;
  std::atomic<int> calls{0};
  std::atomic<bool> is_follower_there{false};
  const auto failing_leader = [&]() -> Result<std::string> {
    ++calls;
    while (!is_follower_there) std::this_thread::yield();
    // The follower registers under the flight's lock after this point at the latest; give it the chance to.
    for (int i = 0; i < 20; ++i) std::this_thread::yield();
    return fail(ErrorCode::kUpstream, "leader failed");
  };
  std::thread leader([&] { EXPECT_FALSE(flights.run({1, 1}, failing_leader).answer); });
  while (calls == 0) std::this_thread::yield();
  std::thread follower([&] {
    is_follower_there = true;
    EXPECT_EQ(
        flights.run({1, 1}, [&]() -> Result<std::string> { return std::string("second"); }).answer.value(),
        "second");
  });
  leader.join();
  follower.join();
}

}  // namespace
}  // namespace enhanced_gptcache::cache
