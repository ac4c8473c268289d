#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <thread>

#include "base/epoch.h"
#include "index/vector_index.h"

namespace enhanced_gptcache::index {
namespace {

using Vector = std::vector<float>;

constexpr size_t kDimensions = 64;
constexpr size_t kGraphFromSmall = 100;

class GraphRestore : public testing::Test {
 protected:
  Vector draw() {
    std::normal_distribution<float> normal;
    Vector vector(kDimensions);
    float squares = 0;
    for (float& v : vector) {
      v = normal(random_);
      squares += v * v;
    }
    for (float& v : vector) v /= std::sqrt(squares);
    return vector;
  }
  void fill(VectorIndex& index, uint64_t from, uint64_t to) {
    for (uint64_t label = from; label < to; ++label) {
      vectors_[label] = draw();
      index.add(label, vectors_[label]);
    }
  }
  static std::vector<LinkedRow> rows_of(const VectorIndex& index) {
    const base::EpochGuard pin;
    std::vector<LinkedRow> rows;
    EXPECT_TRUE(index.copy_graph(index.graph(), 0, 1'000'000, rows));
    return rows;
  }
  GraphIndex::VectorOf vector_of() {
    return [this](uint64_t label, Vector& vector) {
      const auto found = vectors_.find(label);
      if (found == vectors_.end()) return false;
      vector = found->second;
      return true;
    };
  }
  /// In two pieces, as a file is read.
  void restore(VectorIndex& index, const std::vector<LinkedRow>& rows) {
    const size_t half = rows.size() / 2;
    index.restore(std::span(rows).first(half), vector_of(), 2);
    index.restore(std::span(rows).subspan(half), vector_of(), 2);
    index.finish_restore();
  }
  size_t found_by_themselves(const VectorIndex& index) {
    size_t found = 0;
    for (const auto& [label, vector] : vectors_) {
      const auto nearest = index.search(vector, 1, 0.9F);
      found += !nearest.empty() && nearest[0].label == label;
    }
    return found;
  }

  std::mt19937 random_{7};
  std::map<uint64_t, Vector> vectors_;
};

TEST_F(GraphRestore, ARestoredGraphAnswersAsTheOldOneDid) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  fill(index, 0, 2000);
  while (index.settle(1000)) {
  }
  for (uint64_t label = 0; label < 2000; label += 9) {
    ASSERT_TRUE(index.remove(label));
    vectors_.erase(label);
  }
  VectorIndex restored(kDimensions, kGraphFromSmall);
  restore(restored, rows_of(index));
  EXPECT_NE(restored.graph(), index.graph());
  EXPECT_EQ(restored.size(), index.size());
  for (int i = 0; i < 300; ++i) {
    const Vector query = draw();
    const auto before = index.search(query, 5, -1.0F);
    const auto after = restored.search(query, 5, -1.0F);
    ASSERT_EQ(before.size(), after.size());
    for (size_t k = 0; k < before.size(); ++k) {
      EXPECT_EQ(before[k].label, after[k].label);
      EXPECT_FLOAT_EQ(before[k].similarity, after[k].similarity);
    }
  }
  EXPECT_TRUE(restored.is_in_graph(1));
  EXPECT_FALSE(restored.is_in_graph(0));
  EXPECT_TRUE(restored.remove(1));
  EXPECT_FALSE(restored.remove(1));
}

TEST_F(GraphRestore, WhatIsGoneIsLeftOutAndTheRestStaysJoined) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  fill(index, 0, 3000);
  while (index.settle(1000)) {
  }
  const std::vector<LinkedRow> rows = rows_of(index);
  for (uint64_t label = 0; label < 3000; ++label)
    if (label % 5 == 0) vectors_.erase(label);
  VectorIndex restored(kDimensions, kGraphFromSmall);
  restore(restored, rows);
  EXPECT_EQ(restored.size(), vectors_.size());
  EXPECT_GE(found_by_themselves(restored), vectors_.size() * 97 / 100);
  const size_t bytes = restored.bytes();
  fill(restored, 5000, 5500);
  EXPECT_LT(restored.bytes(), bytes + 40'000) << "new rows take the places of those that are gone";
  EXPECT_GE(found_by_themselves(restored), vectors_.size() * 97 / 100);
}

TEST_F(GraphRestore, LinksToNowhereAndRowsThatStandTwiceDoNoHarm) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  fill(index, 0, 500);
  while (index.settle(1000)) {
  }
  std::vector<LinkedRow> rows = rows_of(index);
  std::uniform_int_distribution<uint32_t> any;
  for (LinkedRow& row : rows) row.links[any(random_) % kLinksMax] = any(random_);
  rows[7].label = rows[3].label;
  rows.push_back(rows[11]);
  VectorIndex restored(kDimensions, kGraphFromSmall);
  restore(restored, rows);
  EXPECT_EQ(restored.size(), vectors_.size() - 1);
  EXPECT_GE(found_by_themselves(restored), vectors_.size() * 9 / 10);
  for (uint64_t label = 0; label < 500; ++label) restored.remove(label);
  EXPECT_EQ(restored.size(), 0U);
}

TEST_F(GraphRestore, WhatWaitsIsFoundAndMoves) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  for (uint64_t label = 0; label < 3000; ++label) {
    vectors_[label] = draw();
    index.add_unsettled(label, vectors_[label]);
  }
  EXPECT_EQ(index.unsettled(), 3000U);
  EXPECT_EQ(index.graph(), 0U);
  EXPECT_EQ(found_by_themselves(index), 3000U);
  EXPECT_TRUE(index.settle(1500));
  EXPECT_EQ(index.unsettled(), 1500U);
  EXPECT_EQ(index.size(), 3000U);
  EXPECT_GE(found_by_themselves(index), 2950U);
  for (uint64_t label = 0; label < 3000; label += 2) {
    EXPECT_TRUE(index.remove(label));
    vectors_.erase(label);
  }
  while (index.settle(100)) {
  }
  EXPECT_EQ(index.unsettled(), 0U);
  EXPECT_EQ(index.size(), 1500U);
  EXPECT_GE(found_by_themselves(index), 1450U);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

TEST_F(GraphRestore, ASmallIndexHasNothingToMove) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  for (uint64_t label = 0; label < kGraphFromSmall; ++label) index.add_unsettled(label, draw());
  EXPECT_EQ(index.unsettled(), 0U);
  EXPECT_FALSE(index.settle(100));
  EXPECT_EQ(index.graph(), 0U);
}

TEST_F(GraphRestore, ACopyTakenDuringWritesCanBeRestored) {
  VectorIndex index(kDimensions, kGraphFromSmall);
  fill(index, 0, 1000);
  std::atomic<bool> stop{false};
  std::vector<LinkedRow> rows;
  std::thread reader([&] {
    const base::EpochGuard pin;
    const uint64_t graph = index.graph();
    uint32_t from = 0;
    do {
      rows.clear();
      for (from = 0; index.copy_graph(graph, from, 64, rows) && rows.size() > from;) from += 64;
    } while (!stop.load());
  });
  std::mt19937 random(3);
  for (uint64_t label = 1000; label < 2500; ++label) {
    fill(index, label, label + 1);
    const uint64_t old = random() % label;
    if (index.remove(old)) vectors_.erase(old);
  }
  stop.store(true);
  reader.join();
  VectorIndex restored(kDimensions, kGraphFromSmall);
  restore(restored, rows);
  EXPECT_LE(restored.size(), vectors_.size());
  EXPECT_GT(restored.size(), vectors_.size() / 2);
  std::vector<LinkedRow> none;
  const base::EpochGuard pin;
  EXPECT_FALSE(index.copy_graph(index.graph() + 1, 0, 10, none));
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace enhanced_gptcache::index
