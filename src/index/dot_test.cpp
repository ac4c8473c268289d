#include "index/dot.h"

#include <gtest/gtest.h>

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
    for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{5}}) {
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
      if (count == 0) continue;
      const float wanted =
          scalar_dot_kernels().rescore(exact.data(), high.data() + 1, low.data() + 1, length);
      const float got = kernels->rescore(exact.data(), high.data() + 1, low.data() + 1, length);
      ASSERT_NEAR(got, wanted, 1.0 + 1e-5 * std::fabs(wanted) * std::sqrt(static_cast<double>(length)));
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
}

TEST(DotKernels, UnknownNameIsNull) {
  EXPECT_EQ(dot_kernels_named("sse9"), nullptr);
  EXPECT_NE(dot_kernels_named(std::string(dot_kernels().name)), nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache::index
