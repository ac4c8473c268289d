#include "index/graph_walk.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "base/epoch.h"
#include "index/graph_index.h"

namespace enhanced_gptcache::index {
namespace {

using Vector = std::vector<float>;

Vector unit_vector(std::mt19937& random, size_t dimensions, const Vector& near = {}, float spread = 1) {
  std::normal_distribution<float> normal(0, spread / std::sqrt(static_cast<float>(dimensions)));
  Vector vector(dimensions);
  double squares = 0;
  for (size_t i = 0; i < dimensions; ++i) {
    vector[i] = normal(random) + (near.empty() ? 0.0F : near[i]);
    squares += static_cast<double>(vector[i]) * vector[i];
  }
  for (float& v : vector) v *= static_cast<float>(1.0 / std::sqrt(squares));
  return vector;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

TEST(VisitedRows, ForgetsEachWalkAndFillsUp) {
  VisitedRows visited;
  std::mt19937 random(1);
  // More walks than there are generations.
  for (int walk = 0; walk < 300; ++walk) {
    visited.clear();
    std::set<uint32_t> truth;
    for (int i = 0; i < 200; ++i) {
      const uint32_t row = random() % 150 * 223'101;  // up to the largest row number
      ASSERT_LT(row, kRowsMax);
      ASSERT_EQ(visited.insert(row), truth.insert(row).second) << walk;
    }
  }
  visited.clear();
  for (uint32_t row = 0; row < VisitedRows::kMax; ++row) {
    ASSERT_FALSE(visited.is_full());
    ASSERT_TRUE(visited.insert(kRowsMax - 1 - row));
  }
  EXPECT_TRUE(visited.is_full());
}

TEST(NearestRows, KeepsTheNearestAndTakesEachOnce) {
  NearestRows nearest;
  nearest.start(3);
  EXPECT_EQ(nearest.take(), kNoRow);
  nearest.push({0.5F, 1});
  nearest.push({0.7F, 2});
  EXPECT_EQ(nearest.peek(), 2U);
  EXPECT_EQ(nearest.take(), 2U);
  nearest.push({0.6F, 3});
  EXPECT_FALSE(nearest.is_worth(0.5F));
  ASSERT_TRUE(nearest.is_worth(0.9F));
  nearest.push({0.9F, 4});  // pushes row 1 out
  EXPECT_EQ(nearest.take(), 4U);
  EXPECT_EQ(nearest.take(), 3U);
  EXPECT_EQ(nearest.take(), kNoRow);
  std::vector<uint32_t> rows;
  for (const ScoredRow& one : nearest.found()) rows.push_back(one.row);
  EXPECT_EQ(rows, (std::vector<uint32_t>{4, 2, 3}));
}

TEST(GraphRows, SignsEstimateASimilarityWithoutBias) {
  constexpr size_t kDimensions = 384;
  std::mt19937 random(2);
  GraphRows rows(kDimensions);
  ASSERT_EQ(rows.sign_length(), 384U);
  const Vector query = unit_vector(random, kDimensions);
  const PreparedQuery prepared = prepare(query);
  double error = 0;
  double squared_error = 0;
  constexpr int kRows = 500;
  for (int i = 0; i < kRows; ++i) {
    const Vector vector = unit_vector(random, kDimensions, query, 1);  // cosine about 0.7
    const uint32_t row = rows.append();
    rows.fill(row, vector);
    const int32_t sum = scalar_dot_kernels().signs(prepared.fine.data(), rows.signs(row), 384);
    const double estimate =
        static_cast<double>(2 * sum - prepared.fine_sum) * prepared.fine_scale * rows.sign_scale(row);
    const double off = estimate - dot(vector, query);
    error += off;
    squared_error += off * off;
  }
  EXPECT_NEAR(error / kRows, 0, 0.01);
  EXPECT_LT(std::sqrt(squared_error / kRows), 0.05);
}

TEST(GraphRows, FewDimensionsHaveNoSigns) {
  EXPECT_EQ(GraphRows(kSignsFrom - 1).sign_length(), 0U);
  EXPECT_EQ(GraphRows(kSignsFrom).sign_length(), kSignsFrom);
  EXPECT_EQ(GraphRows(300).sign_length(), 320U);
}

/// With signs, the walk goes by estimates; what is found must be as near, and its similarity exact.
TEST(GraphIndex, FindsTheNearestBySignsWhileRowsComeAndGo) {
  constexpr size_t kDimensions = 300;  // not a multiple of anything
  std::mt19937 random(3);
  std::vector<Vector> centres;
  for (int i = 0; i < 40; ++i) centres.push_back(unit_vector(random, kDimensions));
  const auto next = [&] {
    return unit_vector(random, kDimensions, centres[random() % centres.size()], 0.8F);
  };
  GraphIndex index(kDimensions);
  std::vector<Vector> vectors;
  for (uint64_t label = 0; label < 3000; ++label) {
    vectors.push_back(next());
    ASSERT_TRUE(index.add(label, vectors.back()));
    // Two of three of the first thousand leave again.
    if (label >= 2000 && label % 3 != 0) {
      ASSERT_TRUE(index.remove(label - 2000));
    }
  }
  const auto is_there = [](size_t label) { return label >= 1000 || (label + 2000) % 3 == 0; };
  int right = 0;
  constexpr int kQueries = 200;
  for (int i = 0; i < kQueries; ++i) {
    const Vector query = next();
    double most = -2;
    for (size_t label = 0; label < vectors.size(); ++label) {
      if (is_there(label)) most = std::max(most, dot(vectors[label], query));
    }
    const base::EpochGuard pin;
    Best best(4, -1);
    index.search(prepare(query), 4, -1, best);
    const auto found = std::move(best).sorted();
    ASSERT_EQ(found.size(), 4U);
    for (const Neighbour& one : found) {
      ASSERT_TRUE(is_there(one.label));
      ASSERT_NEAR(one.similarity, dot(vectors[one.label], query), 0.005);
    }
    right += dot(vectors[found[0].label], query) >= most - 0.002;
  }
  EXPECT_GE(right, kQueries * 98 / 100);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

}  // namespace
}  // namespace enhanced_gptcache::index
