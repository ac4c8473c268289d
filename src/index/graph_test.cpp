#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <thread>

#include "base/epoch.h"
#include "index/graph_index.h"
#include "index/vector_index.h"

namespace enhanced_gptcache::index {
namespace {

using Vector = std::vector<float>;

constexpr size_t kDimensions = 64;
/// Small enough that a few hundred rows go through every tier.
constexpr size_t kSmallGraphFrom = 100;

Vector unit(Vector vector) {
  double squares = 0;
  for (const float v : vector) squares += static_cast<double>(v) * v;
  for (float& v : vector) v *= static_cast<float>(1.0 / std::sqrt(squares));
  return vector;
}

/// Texts come in topics: a few centres, and much that is near one of them.
class Topics {
 public:
  explicit Topics(unsigned seed) : random_(seed) {
    for (int i = 0; i < 30; ++i) centres_.push_back(draw(Vector(kDimensions, 0.0F), 1));
  }
  Vector next() { return draw(centres_[random_() % centres_.size()], 0.1F); }
  Vector near(const Vector& vector) { return draw(vector, 0.02F); }
  size_t number(size_t below) { return random_() % below; }

 private:
  Vector draw(Vector vector, float spread) {
    std::normal_distribution<float> normal(0, spread);
    for (float& v : vector) v += normal(random_);
    return unit(std::move(vector));
  }

  std::mt19937 random_;
  std::vector<Vector> centres_;
};

float dot(const Vector& a, const Vector& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

uint64_t nearest(const std::map<uint64_t, Vector>& truth, const Vector& query) {
  uint64_t best = 0;
  float most = -2;
  for (const auto& [label, vector] : truth) {
    const float similarity = dot(vector, query);
    if (similarity > most) most = similarity, best = label;
  }
  return best;
}

/// Share of searches whose first answer is as near as the nearest there is, by 0.002.
double recall(const VectorIndex& index, const std::map<uint64_t, Vector>& truth, Topics& topics) {
  constexpr int kQueries = 200;
  int right = 0;
  for (int i = 0; i < kQueries; ++i) {
    const Vector query = topics.next();
    const auto found = index.search(query, 4, -1.0F);
    if (found.empty() || !truth.contains(found[0].label)) continue;
    right += dot(truth.at(found[0].label), query) >= dot(truth.at(nearest(truth, query)), query) - 0.002F;
  }
  return static_cast<double>(right) / kQueries;
}

TEST(Graph, FindsTheNearestWhileRowsComeAndGo) {
  Topics topics(1);
  VectorIndex index(kDimensions, kSmallGraphFrom);
  std::map<uint64_t, Vector> truth;
  uint64_t next = 1;
  const auto add = [&] {
    truth[next] = topics.next();
    index.add(next, truth[next]);
    ++next;
  };
  for (int i = 0; i < 2500; ++i) add();
  ASSERT_EQ(index.size(), truth.size());
  EXPECT_GE(recall(index, truth, topics), 0.99);
  for (int i = 0; i < 2500; ++i) {
    auto victim = std::next(truth.begin(), static_cast<std::ptrdiff_t>(topics.number(truth.size())));
    ASSERT_TRUE(index.remove(victim->first));
    ASSERT_FALSE(index.remove(victim->first));
    truth.erase(victim);
    add();
  }
  ASSERT_EQ(index.size(), truth.size());
  EXPECT_GE(recall(index, truth, topics), 0.98);
}

TEST(Graph, WhatWasRemovedIsNeverFound) {
  Topics topics(2);
  VectorIndex index(kDimensions, kSmallGraphFrom);
  std::map<uint64_t, Vector> truth;
  for (uint64_t label = 1; label <= 1000; ++label) index.add(label, truth[label] = topics.next());
  for (uint64_t label = 1; label <= 1000; label += 2) ASSERT_TRUE(index.remove(label));
  for (const auto& [label, vector] : truth) {
    for (const Neighbour& found : index.search(vector, 20, -1.0F)) ASSERT_EQ(found.label % 2, 0U);
  }
}

TEST(Graph, EqualVectorsDoNotHideTheOthers) {
  Topics topics(3);
  VectorIndex index(kDimensions, kSmallGraphFrom);
  const Vector same = topics.next();
  std::map<uint64_t, Vector> others;
  for (uint64_t label = 1; label <= 600; ++label) {
    index.add(label * 2, same);
    index.add(label * 2 + 1, others[label * 2 + 1] = topics.next());
  }
  EXPECT_EQ(index.search(same, 50, 0.999F).size(), 50U);
  size_t found = 0;
  for (const auto& [label, vector] : others) {
    const auto near = index.search(vector, 1, 0.99F);
    found += !near.empty() && near[0].label == label;
  }
  EXPECT_GE(found, others.size() * 97 / 100);
}

TEST(Graph, GivesPlacesBackWhenMostIsRemoved) {
  Topics topics(4);
  VectorIndex index(kDimensions, kSmallGraphFrom);
  std::map<uint64_t, Vector> truth;
  // More than one segment of rows.
  for (uint64_t label = 1; label <= 5000; ++label) index.add(label, truth[label] = topics.next());
  const size_t full = index.bytes();
  for (uint64_t label = 1; label <= 4600; ++label) {
    ASSERT_TRUE(index.remove(label));
    truth.erase(label);
  }
  ASSERT_EQ(index.size(), truth.size());
  EXPECT_LT(index.bytes(), full * 3 / 4);
  for (const auto& [label, vector] : truth) {
    const auto found = index.search(vector, 1, 0.99F);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found[0].label, label);
  }
  for (uint64_t label = 4601; label <= 5000; ++label) ASSERT_TRUE(index.remove(label));
  EXPECT_EQ(index.size(), 0U);
  EXPECT_TRUE(index.search(topics.next(), 3, -1.0F).empty());
  EXPECT_LT(index.bytes(), 1024U);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

TEST(Graph, OddVectorsAreKeptAndNotFound) {
  Topics topics(5);
  VectorIndex index(kDimensions, 0);
  const Vector good = topics.next();
  Vector bad = good;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  index.add(1, bad);
  index.add(2, Vector(kDimensions, 0.0F));
  index.add(3, good);
  const auto found = index.search(good, 5, 0.5F);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].label, 3U);
  EXPECT_LE(found[0].similarity, 1.0F);
  EXPECT_TRUE(index.search(bad, 5, -1.0F).empty());
  EXPECT_TRUE(index.remove(1) && index.remove(2) && index.remove(3));
  EXPECT_EQ(index.size(), 0U);
}

/// Waves that cross every threshold, so that rows move between all tiers under the readers' feet.
TEST(Graph, ReadersFindStableEntriesWhileTiersChange) {
  constexpr uint64_t kStable = 40;
  Topics topics(6);
  VectorIndex index(kDimensions, kSmallGraphFrom);
  std::vector<Vector> stable;
  for (uint64_t label = 0; label < kStable; ++label) index.add(label, stable.emplace_back(topics.next()));
  std::atomic<bool> stop{false};
  std::atomic<int> missed{0}, searches{0};
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937 mine(r);
      do {
        const uint64_t label = mine() % kStable;
        const auto found = index.search(stable[label], 8, 0.9F);
        const bool is_there =
            std::any_of(found.begin(), found.end(), [&](const Neighbour& one) { return one.label == label; });
        if (!is_there) missed.fetch_add(1);
        searches.fetch_add(1, std::memory_order_relaxed);
      } while (!stop.load(std::memory_order_relaxed));
    });
  }
  uint64_t next = 1000;
  for (int wave = 0; wave < 4; ++wave) {
    const uint64_t first = next;
    for (; next < first + 600; ++next) index.add(next, topics.next());
    for (uint64_t label = first; label < next; ++label) ASSERT_TRUE(index.remove(label));
  }
  stop.store(true);
  for (auto& reader : readers) reader.join();
  EXPECT_GT(searches.load(), 0);
  EXPECT_EQ(missed.load(), 0);
  EXPECT_EQ(index.size(), kStable);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

TEST(Graph, RowTableFollowsEveryChange) {
  GraphRows rows(8);
  RowTable table(rows);
  std::map<uint64_t, uint32_t> truth;
  std::mt19937 random(7);
  for (int i = 0; i < 4000; ++i) {
    const uint64_t label = random() % 700;
    const auto found = truth.find(label);
    ASSERT_EQ(table.find(label), found == truth.end() ? kNoRow : found->second);
    if (found == truth.end()) {
      const uint32_t row = rows.append();
      rows.publish(row, label);
      table.insert(row);
      truth[label] = row;
    } else {
      table.erase(label);
      rows.kill(found->second);
      truth.erase(found);
    }
    ASSERT_EQ(table.size(), truth.size());
  }
}

}  // namespace
}  // namespace enhanced_gptcache::index
