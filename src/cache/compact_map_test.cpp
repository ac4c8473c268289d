#include "cache/compact_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

namespace enhanced_gptcache::cache {
namespace {

struct Item {
  base::Hash128 key;
  const base::Hash128& its_key() const { return key; }
};
using Map = CompactMap<Item, &Item::its_key>;

TEST(CompactMap, BehavesLikeAMapUnderRandomOperations) {
  std::mt19937_64 random(1);
  Map map;
  std::map<base::Hash128, Item*> model;
  // Three objects a key, and keys of which many differ in few bits, so that tags and places collide.
  std::vector<Item> items(9000);
  for (size_t i = 0; i < items.size(); ++i) {
    const uint64_t number = i / 3;
    items[i].key =
        number % 2 == 0 ? base::Hash128{number, number % 8} : base::Hash128{number * 977, random()};
    if (i % 3 != 0) items[i].key = items[i - 1].key;
  }
  for (int step = 0; step < 100'000; ++step) {
    Item* item = &items[random() % items.size()];
    const auto known = model.find(item->key);
    // Phases of growing and of shrinking, so that tables are rebuilt both ways.
    if (random() % 10 < (step / 10'000 % 2 == 0 ? 8U : 2U)) {
      EXPECT_EQ(map.exchange(item), known == model.end() ? nullptr : known->second);
      model[item->key] = item;
    } else {
      const bool is_there = known != model.end() && known->second == item;
      EXPECT_EQ(map.erase(item), is_there);
      if (is_there) model.erase(known);
    }
    const base::EpochGuard pin;
    const base::Hash128& key = items[random() % items.size()].key;
    const auto wanted = model.find(key);
    EXPECT_EQ(map.find(key), wanted == model.end() ? nullptr : wanted->second);
  }
  EXPECT_EQ(map.size(), model.size());
}

TEST(CompactMap, GivesMemoryBack) {
  std::mt19937_64 random(2);
  std::vector<Item> items(10'000);
  for (Item& item : items) item.key = {random(), random()};
  Map map;
  EXPECT_EQ(map.bytes(), 0U);
  for (Item& item : items) map.exchange(&item);
  EXPECT_GT(map.bytes(), items.size() * 8);
  EXPECT_LT(map.bytes(), items.size() * 8 * 4);
  for (const Item& item : items) EXPECT_TRUE(map.erase(&item));
  EXPECT_EQ(map.bytes(), 0U);
  EXPECT_EQ(map.size(), 0U);
}

TEST(CompactMap, ReadersSeeEveryKeyThatStaysWhileOthersComeAndGo) {
  std::vector<Item> kept;
  for (uint64_t i = 0; i < 500; ++i) kept.push_back({{i * 7919, i}});
  Map map;
  for (Item& item : kept) map.exchange(&item);
  std::atomic<bool> is_done{false};
  std::atomic<size_t> lost{0};
  std::thread reader([&] {
    while (!is_done) {
      const base::EpochGuard pin;
      for (const Item& item : kept) lost += map.find(item.key) == &item ? 0 : 1;
    }
  });
  std::vector<Item> others;
  for (uint64_t i = 1; i < 20'000; ++i) others.push_back({{i * 104'729, i % 512}});
  for (int round = 0; round < 3; ++round) {
    for (Item& item : others) map.exchange(&item);
    for (Item& item : others) map.erase(&item);
  }
  is_done = true;
  reader.join();
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(map.size(), kept.size());
}

}  // namespace
}  // namespace enhanced_gptcache::cache
