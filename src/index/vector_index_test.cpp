#include "index/vector_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <thread>

#include "base/epoch.h"
#include "index/flat_index.h"

namespace enhanced_gptcache::index {
namespace {

using Vector = std::vector<float>;

Vector unit(Vector vector) {
  double squares = 0;
  for (const float v : vector) squares += static_cast<double>(v) * v;
  const auto inverse = static_cast<float>(1.0 / std::sqrt(squares));
  for (float& v : vector) v *= inverse;
  return vector;
}

Vector random_unit(std::mt19937& random, size_t dimensions) {
  std::normal_distribution<float> normal;
  Vector vector(dimensions);
  for (float& v : vector) v = normal(random);
  return unit(std::move(vector));
}

/// Near `centre`: cosine about 1 / sqrt(1 + spread^2).
Vector near(std::mt19937& random, const Vector& centre, float spread) {
  std::normal_distribution<float> normal(0, spread / std::sqrt(static_cast<float>(centre.size())));
  Vector vector = centre;
  for (float& v : vector) v += normal(random);
  return unit(std::move(vector));
}

double cosine(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// The index, a plain map with the same content, and the comparison of the two.
struct Differential {
  explicit Differential(size_t dimensions, size_t graph_from = kGraphFrom) : index(dimensions, graph_from) {}
  void add(uint64_t label, const Vector& vector) {
    index.add(label, vector);
    truth[label] = vector;
  }
  void remove(uint64_t label) { EXPECT_EQ(index.remove(label), truth.erase(label) == 1); }
  void check(const Vector& query, size_t k, float similarity_min) const {
    std::vector<double> expected;
    for (const auto& [label, vector] : truth) expected.push_back(cosine(query, vector));
    std::sort(expected.rbegin(), expected.rend());
    const auto found = index.search(query, k, similarity_min);
    const auto above = static_cast<size_t>(std::count_if(
        expected.begin(), expected.end(), [&](double s) { return s >= similarity_min + kTolerance; }));
    const auto around = static_cast<size_t>(std::count_if(
        expected.begin(), expected.end(), [&](double s) { return s >= similarity_min - kTolerance; }));
    ASSERT_GE(found.size(), std::min(k, above));
    ASSERT_LE(found.size(), std::min(k, around));
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_TRUE(truth.contains(found[i].label));
      ASSERT_NEAR(found[i].similarity, cosine(query, truth.at(found[i].label)), kTolerance);
      ASSERT_NEAR(found[i].similarity, expected[i], kTolerance);
      if (i > 0) {
        ASSERT_GE(found[i - 1].similarity, found[i].similarity);
      }
    }
  }
  static constexpr double kTolerance = 1e-4;
  VectorIndex index;
  std::map<uint64_t, Vector> truth;
};

TEST(VectorIndex, EmptyFindsNothing) {
  VectorIndex index(384);
  std::mt19937 random(1);
  EXPECT_TRUE(index.search(random_unit(random, 384), 5, -1).empty());
  EXPECT_EQ(index.size(), 0U);
  EXPECT_EQ(index.dimensions(), 384U);
  EXPECT_FALSE(index.remove(1));
  EXPECT_LT(index.bytes(), 256U);
}

TEST(VectorIndex, SignsFirstMissesNothingSimilarAndManyNeighboursAreExact) {
  std::mt19937 random(21);
  constexpr size_t kDimensions = 384;
  constexpr uint64_t kRows = kSignsFromRows + 500;
  Differential both(kDimensions);
  std::vector<Vector> centres;
  for (size_t i = 0; i < kRows / 10; ++i) centres.push_back(random_unit(random, kDimensions));
  for (uint64_t label = 0; label < kRows; ++label)
    both.add(label, near(random, centres[label % centres.size()], 0.6F));
  const auto check_all = [&] {
    for (size_t i = 0; i < centres.size(); i += 7) {
      both.check(near(random, centres[i], 0.5F), 8, 0.5F);      // by signs: what is similar is found
      both.check(random_unit(random, kDimensions), 30, -1.0F);  // by all vectors
    }
  };
  check_all();
  // Dead rows between live ones, and places that are used again.
  for (uint64_t label = 0; label < kRows; label += 9) both.remove(label);
  check_all();
  for (uint64_t label = kRows; label < kRows + 200; ++label)
    both.add(label, near(random, centres[label % centres.size()], 0.6F));
  check_all();
}

TEST(VectorIndex, IdenticalVectorHasSimilarityOne) {
  std::mt19937 random(2);
  for (const size_t dimensions : {1, 3, 31, 32, 33, 384, 768, 1000}) {
    VectorIndex index(dimensions);
    for (uint64_t label = 0; label < 50; ++label) {
      const Vector vector = random_unit(random, dimensions);
      index.add(label, vector);
      const auto found = index.search(vector, 1, 0.5F);
      ASSERT_EQ(found.size(), 1U);
      if (dimensions > 3) {
        ASSERT_EQ(found[0].label, label);
      }
      ASSERT_GE(found[0].similarity, 0.9999F);
      ASSERT_LE(found[0].similarity, 1.0F);
    }
  }
}

TEST(VectorIndex, EqualVectorsComeInLabelOrder) {
  std::mt19937 random(3);
  const Vector vector = random_unit(random, 64);
  VectorIndex index(64);
  for (const uint64_t label : {9, 2, 7, 4}) index.add(label, vector);
  const auto found = index.search(vector, 3, 0);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].label, 2U);
  EXPECT_EQ(found[1].label, 4U);
  EXPECT_EQ(found[2].label, 7U);
}

TEST(VectorIndex, OddInputsFindNothingAndBreakNothing) {
  std::mt19937 random(4);
  const Vector good = random_unit(random, 32);
  VectorIndex index(32);
  index.add(1, good);
  Vector bad = good;
  bad[5] = std::numeric_limits<float>::quiet_NaN();
  index.add(2, bad);
  index.add(3, Vector(32, 0.0F));
  EXPECT_TRUE(index.search(bad, 5, -1).empty());
  EXPECT_TRUE(index.search(Vector(32, 0.0F), 5, -1).empty());
  EXPECT_TRUE(index.search(good, 0, -1).empty());
  const auto found = index.search(good, 5, 0.1F);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].label, 1U);
}

TEST(VectorIndex, DifferentialAgainstBruteForceUnderChurn) {
  std::mt19937 random(5);
  for (const size_t dimensions : {7, 96, 384}) {
    Differential both(dimensions);
    std::vector<Vector> centres;
    for (int i = 0; i < 8; ++i) centres.push_back(random_unit(random, dimensions));
    uint64_t next = 1;
    for (int round = 0; round < 40; ++round) {
      // Waves: it grows, then shrinks, so that reuse, growth and rewriting all happen.
      const bool growing = (round / 10) % 2 == 0;
      for (int i = 0; i < 60; ++i) {
        if (growing ? random() % 4 != 0 : random() % 4 == 0) {
          both.add(next++, near(random, centres[random() % 8], 0.6F));
        } else if (!both.truth.empty()) {
          auto victim = both.truth.begin();
          std::advance(victim, static_cast<std::ptrdiff_t>(random() % both.truth.size()));
          both.remove(victim->first);
        }
      }
      ASSERT_EQ(both.index.size(), both.truth.size());
      for (const size_t k : {1, 8, 1000}) {
        both.check(near(random, centres[random() % 8], 0.3F), k, 0.65F);
        both.check(random_unit(random, dimensions), k, -1.0F);
      }
    }
    both.remove(next + 5);
  }
}

TEST(VectorIndex, RemovedRowsAreReused) {
  std::mt19937 random(6);
  VectorIndex index(384);
  for (uint64_t label = 0; label < 2000; ++label) index.add(label, random_unit(random, 384));
  const size_t bytes = index.bytes();
  EXPECT_LT(bytes, 2000 * 1100U);
  for (uint64_t label = 0; label < 10'000; ++label) {
    ASSERT_TRUE(index.remove(label));
    index.add(label + 2000, random_unit(random, 384));
  }
  EXPECT_EQ(index.size(), 2000U);
  EXPECT_LE(index.bytes(), bytes + bytes / 16);
}

TEST(VectorIndex, MemoryGoesBackWhenMostIsRemoved) {
  std::mt19937 random(7);
  VectorIndex index(384);
  for (uint64_t label = 0; label < 3000; ++label) index.add(label, random_unit(random, 384));
  const Vector kept = random_unit(random, 384);
  index.add(5000, kept);
  const size_t full = index.bytes();
  for (uint64_t label = 0; label < 3000; ++label) ASSERT_TRUE(index.remove(label));
  EXPECT_LT(index.bytes(), full / 100);
  ASSERT_EQ(index.search(kept, 3, 0.9F).size(), 1U);
  ASSERT_TRUE(index.remove(5000));
  EXPECT_LT(index.bytes(), 256U);
  index.add(1, kept);
  EXPECT_EQ(index.search(kept, 3, 0.9F).size(), 1U);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

TEST(VectorIndex, APinnedReaderDelaysReuseOnly) {
  std::mt19937 random(8);
  VectorIndex index(32);
  for (uint64_t label = 0; label < 100; ++label) index.add(label, random_unit(random, 32));
  {
    const base::EpochGuard guard;
    ASSERT_TRUE(index.remove(5));
    const Vector fresh = random_unit(random, 32);
    index.add(200, fresh);
    EXPECT_EQ(index.search(fresh, 1, 0.9F).at(0).label, 200U);
  }
  const size_t bytes = index.bytes();
  index.add(201, random_unit(random, 32));
  EXPECT_EQ(index.bytes(), bytes);
  EXPECT_EQ(index.size(), 101U);
}

/// One writer adds, removes and rewrites while readers look for vectors that are always there.
TEST(VectorIndex, ReadersFindStableEntriesWhileAWriterChurns) {
  constexpr size_t kDimensions = 96;
  constexpr uint64_t kStable = 40;
  std::mt19937 random(9);
  VectorIndex index(kDimensions);
  std::vector<Vector> stable;
  for (uint64_t label = 0; label < kStable; ++label) {
    stable.push_back(random_unit(random, kDimensions));
    index.add(label, stable.back());
  }
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> searches{0};
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937 mine(r + 50);
      do {
        const uint64_t label = mine() % kStable;
        const auto found = index.search(stable[label], 4, 0.9F);
        if (found.empty() || found[0].label != label) wrong.fetch_add(1);
        searches.fetch_add(1, std::memory_order_relaxed);
      } while (!stop.load(std::memory_order_relaxed));
    });
  }
  uint64_t next = 1000;
  for (int wave = 0; wave < 15; ++wave) {
    const uint64_t first = next;
    for (; next < first + 300; ++next) index.add(next, random_unit(random, kDimensions));
    for (uint64_t label = first; label < next; ++label) ASSERT_TRUE(index.remove(label));
  }
  stop.store(true);
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(searches.load(), 0);
  EXPECT_EQ(index.size(), kStable);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

}  // namespace
}  // namespace enhanced_gptcache::index
