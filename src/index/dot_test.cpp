#include "index/dot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace enhanced_gptcache::index {
namespace {

class DotKernelsTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, DotKernelsTest, testing::Values("scalar", "avx2", "avx512vnni"));

TEST_P(DotKernelsTest, EqualsTheReferenceForEveryLengthAndCount) {
  const DotKernels* kernels = dot_kernels_named(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor lacks " << GetParam();
  EXPECT_EQ(kernels->name, GetParam());
  std::mt19937 random(7);
  std::uniform_int_distribution<int> byte(-128, 127);
  std::uniform_int_distribution<int> coarse(-kQueryMax, kQueryMax);
  for (size_t length = 0; length <= 512; length += kDotPad) {
    for (const size_t count :
         {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{5}, size_t{64}}) {
      std::vector<int16_t> query(length);
      std::vector<float> exact(length);
      // One byte of offset: rows need no alignment.
      std::vector<int8_t> high(1 + length * count);
      std::vector<int8_t> low(1 + length * count);
      for (auto& v : query) v = static_cast<int16_t>(coarse(random));
      for (size_t i = 0; i < length; ++i) exact[i] = static_cast<float>(query[i]) / kQueryMax;
      for (auto& v : high) v = static_cast<int8_t>(byte(random));
      for (auto& v : low) v = static_cast<int8_t>(byte(random));
      std::vector<int32_t> expected(count, -1);
      std::vector<int32_t> actual(count, -2);
      scalar_dot_kernels().scan(query.data(), high.data() + 1, length, count, expected.data());
      kernels->scan(query.data(), high.data() + 1, length, count, actual.data());
      ASSERT_EQ(actual, expected) << length << " x " << count;
      std::vector<int8_t> fine(1 + length);
      for (auto& v : fine) v = static_cast<int8_t>(std::max(byte(random), -127));
      scalar_dot_kernels().sweep(fine.data() + 1, high.data() + 1, length, count, expected.data());
      kernels->sweep(fine.data() + 1, high.data() + 1, length, count, actual.data());
      ASSERT_EQ(actual, expected) << length << " x " << count;
      if (count == 0) continue;
      const float wanted =
          scalar_dot_kernels().rescore(exact.data(), high.data() + 1, low.data() + 1, length);
      const float got = kernels->rescore(exact.data(), high.data() + 1, low.data() + 1, length);
      ASSERT_NEAR(got, wanted, 1.0 + 1e-5 * std::fabs(wanted) * std::sqrt(static_cast<double>(length)));
    }
  }
}

TEST_P(DotKernelsTest, PairsOfRowsEqualTheReference) {
  const DotKernels* kernels = dot_kernels_named(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor lacks " << GetParam();
  std::mt19937 random(8);
  std::uniform_int_distribution<int> byte(-128, 127);
  for (size_t length = 0; length <= 512; length += kDotPad) {
    std::vector<int8_t> a(1 + length), b(1 + length);
    for (auto& v : a) v = static_cast<int8_t>(byte(random));
    for (auto& v : b) v = static_cast<int8_t>(byte(random));
    int64_t expected = 0;
    for (size_t i = 1; i <= length; ++i) expected += int64_t{a[i]} * b[i];
    ASSERT_EQ(kernels->pair(a.data() + 1, b.data() + 1, length), expected) << length;
  }
  const std::vector<int8_t> low(kDimensionsMax, -128), high(kDimensionsMax, 127);
  const auto most = static_cast<int32_t>(kDimensionsMax);
  EXPECT_EQ(kernels->pair(low.data(), low.data(), kDimensionsMax), 128 * 128 * most);
  EXPECT_EQ(kernels->pair(low.data(), high.data(), kDimensionsMax), -128 * 127 * most);
}

TEST_P(DotKernelsTest, SignsEqualTheReference) {
  const DotKernels* kernels = dot_kernels_named(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor lacks " << GetParam();
  std::mt19937 random(9);
  std::uniform_int_distribution<int> byte(-127, 127);
  for (size_t length = 0; length <= 1024; length += kSignPad) {
    std::vector<int8_t> query(1 + length);
    std::vector<uint8_t> signs(1 + length / 8);
    for (auto& v : query) v = static_cast<int8_t>(byte(random));
    for (auto& v : signs) v = static_cast<uint8_t>(random());
    int64_t expected = 0;
    for (size_t i = 0; i < length; ++i) {
      if ((signs[1 + i / 8] >> i % 8 & 1) != 0) expected += query[1 + i];
    }
    ASSERT_EQ(kernels->signs(query.data() + 1, signs.data() + 1, length), expected) << length;
  }
  const std::vector<int8_t> lowest(kDimensionsMax, -127);
  const std::vector<uint8_t> all(kDimensionsMax / 8, 0xff);
  EXPECT_EQ(kernels->signs(lowest.data(), all.data(), kDimensionsMax),
            -127 * static_cast<int32_t>(kDimensionsMax));
}

TEST_P(DotKernelsTest, SweptSignsEqualSingleOnes) {
  const DotKernels* kernels = dot_kernels_named(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor lacks " << GetParam();
  std::mt19937 random(10);
  std::uniform_int_distribution<int> byte(-127, 127);
  for (const size_t length : {size_t{64}, size_t{384}, size_t{1024}}) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{3}, size_t{4}, size_t{7}, size_t{64}}) {
      std::vector<int8_t> query(1 + length);
      std::vector<uint8_t> signs(1 + count * length / 8);
      for (auto& v : query) v = static_cast<int8_t>(byte(random));
      for (auto& v : signs) v = static_cast<uint8_t>(random());
      std::vector<int32_t> sums(count, -1);
      kernels->sweep_signs(query.data() + 1, signs.data() + 1, length, count, sums.data());
      for (size_t r = 0; r < count; ++r)
        ASSERT_EQ(sums[r],
                  scalar_dot_kernels().signs(query.data() + 1, signs.data() + 1 + r * length / 8, length));
    }
  }
}

TEST_P(DotKernelsTest, LargestValuesDoNotOverflow) {
  const DotKernels* kernels = dot_kernels_named(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor lacks " << GetParam();
  const std::vector<int16_t> query(kDimensionsMax, kQueryMax);
  const std::vector<int8_t> row(kDimensionsMax, 127);
  int32_t sum = 0;
  kernels->scan(query.data(), row.data(), kDimensionsMax, 1, &sum);
  EXPECT_EQ(sum, kQueryMax * 127 * static_cast<int32_t>(kDimensionsMax));
  const std::vector<int8_t> lowest_query(kDimensionsMax, -127), lowest_row(kDimensionsMax, -128);
  kernels->sweep(lowest_query.data(), lowest_row.data(), kDimensionsMax, 1, &sum);
  EXPECT_EQ(sum, 127 * 128 * static_cast<int32_t>(kDimensionsMax));
}

TEST(DotKernels, UnknownNameIsNull) {
  EXPECT_EQ(dot_kernels_named("sse9"), nullptr);
  EXPECT_NE(dot_kernels_named(std::string(dot_kernels().name)), nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache::index
