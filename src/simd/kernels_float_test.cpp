// Every kernel against scalar, and scalar against the definition in double, over all lengths 0..257
// and unaligned starts. Buffers have exact sizes, so that a sanitizer sees any step past an end.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "simd/dispatch.h"
#include "simd/pack.h"

namespace enhanced_gptcache::simd {
namespace {

std::vector<float> noise(size_t count, uint64_t seed, float spread = 1.0F) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.1F, spread);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<int8_t> bytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int8_t> values(count);
  for (int8_t& value : values) value = static_cast<int8_t>(static_cast<int>(random() % 256) - 128);
  return values;
}

class FloatKernels : public ::testing::TestWithParam<std::string> {
 protected:
  const KernelTable& table() const { return **select_kernels(GetParam()); }
};

TEST_P(FloatKernels, DotProducts) {
  for (size_t length = 0; length <= 257; ++length) {
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{3}}) {
      const std::vector<float> a = noise(length + offset, length), b = noise(length + offset, length + 1000);
      double expected = 0, magnitude = 0;
      for (size_t i = offset; i < a.size(); ++i) {
        expected += static_cast<double>(a[i]) * static_cast<double>(b[i]);
        magnitude += std::fabs(static_cast<double>(a[i]) * static_cast<double>(b[i]));
      }
      ASSERT_NEAR(table().dot_f32(a.data() + offset, b.data() + offset, length), expected,
                  1e-6 * magnitude + 1e-12);

      const std::vector<int8_t> x = bytes(length + offset, length), y = bytes(length + offset, length + 1);
      int32_t sum = 0;
      for (size_t i = offset; i < x.size(); ++i) sum += x[i] * y[i];
      ASSERT_EQ(table().dot_i8(x.data() + offset, y.data() + offset, length), sum);
    }
  }
}

TEST_P(FloatKernels, Int8DotProductIsExactAtTheExtremes) {
  const std::vector<int8_t> low(kDotI8LengthMax, -128), high(kDotI8LengthMax, 127);
  EXPECT_EQ(table().dot_i8(low.data(), low.data(), low.size()), 128 * 128 * 32768);
  EXPECT_EQ(table().dot_i8(low.data(), high.data(), low.size()), -128 * 127 * 32768);
  EXPECT_EQ(table().dot_i8(high.data(), high.data(), low.size()), 127 * 127 * 32768);
}

TEST_P(FloatKernels, QuantisedRowsEqualScalarBitForBit) {
  for (size_t length = 0; length <= 257; ++length) {
    const std::vector<float> row = noise(length + 1, length, 3.0F), factors = noise(length + 1, length + 5);
    const size_t padded = padded_depth(length);
    std::vector<int8_t> values(padded + 1, 99), expected(padded + 1, 99);
    float scale = -1, expected_scale = -1;
    int32_t sum = -1, expected_sum = -1;
    table().quantise_row(row.data() + 1, factors.data() + 1, length, padded, values.data() + 1, &scale, &sum);
    kScalarKernels.quantise_row(row.data() + 1, factors.data() + 1, length, padded, expected.data() + 1,
                                &expected_scale, &expected_sum);
    ASSERT_EQ(values, expected);
    ASSERT_EQ(scale, expected_scale);
    ASSERT_EQ(sum, expected_sum);
    int32_t total = 0;
    for (size_t i = 1; i <= padded; ++i) total += values[i];
    ASSERT_EQ(total, sum);
    for (size_t i = 0; i < length; ++i) {
      ASSERT_NEAR(static_cast<float>(values[i + 1]) * scale, row[i + 1] * factors[i + 1], scale * 0.51F);
    }
  }
}

TEST_P(FloatKernels, RowsOfZerosAndTinyValuesQuantiseToZero) {
  for (const float value : {0.0F, 1e-38F, -1e-31F}) {
    const std::vector<float> row(40, value), ones(40, 1.0F);
    std::vector<int8_t> values(64, 99);
    float scale = -1;
    int32_t sum = -1;
    table().quantise_row(row.data(), ones.data(), row.size(), values.size(), values.data(), &scale, &sum);
    EXPECT_EQ(values, std::vector<int8_t>(64, 0));
    EXPECT_EQ(scale, 0.0F);
    EXPECT_EQ(sum, 0);
  }
}

TEST_P(FloatKernels, LayerNormFollowsItsDefinition) {
  for (size_t length = 1; length <= 257; ++length) {
    const std::vector<float> row = noise(length + 1, length, 2.0F);
    const std::vector<float> gamma = noise(length, length + 1), beta = noise(length, length + 2);
    std::vector<float> out(length);
    table().layer_norm(row.data() + 1, gamma.data(), beta.data(), 1e-6F, length, out.data());
    double mean = 0, variance = 0;
    for (size_t i = 1; i <= length; ++i) mean += static_cast<double>(row[i]) / static_cast<double>(length);
    for (size_t i = 1; i <= length; ++i) variance += std::pow(static_cast<double>(row[i]) - mean, 2);
    variance /= static_cast<double>(length);
    for (size_t i = 0; i < length; ++i) {
      const double x = (static_cast<double>(row[i + 1]) - mean) / std::sqrt(variance + 1e-6);
      ASSERT_NEAR(out[i], x * static_cast<double>(gamma[i]) + static_cast<double>(beta[i]), 3e-4) << length;
    }
    std::vector<float> in_place = row;
    table().layer_norm(in_place.data() + 1, gamma.data(), beta.data(), 1e-6F, length, in_place.data() + 1);
    ASSERT_EQ(std::vector<float>(in_place.begin() + 1, in_place.end()), out);
  }
}

TEST_P(FloatKernels, SoftmaxFollowsItsDefinition) {
  for (size_t length = 1; length <= 257; ++length) {
    for (const float spread : {0.5F, 60.0F}) {
      const std::vector<float> row = noise(length + 1, length, spread);
      double largest = -1e30, sum = 0;
      for (size_t i = 1; i <= length; ++i) largest = std::max(largest, static_cast<double>(row[i]));
      for (size_t i = 1; i <= length; ++i) sum += std::exp(static_cast<double>(row[i]) - largest);
      std::vector<float> out = row;
      table().softmax(out.data() + 1, length);
      for (size_t i = 1; i <= length; ++i) {
        const double expected = std::exp(static_cast<double>(row[i]) - largest) / sum;
        ASSERT_NEAR(out[i], expected, 1e-5 * expected + 1e-7);
      }
    }
  }
}

TEST_P(FloatKernels, DequantiseAdd) {
  for (size_t length = 0; length <= 257; ++length) {
    const std::vector<int8_t> row = bytes(length + 1, length);
    const std::vector<float> add = noise(length, length);
    std::vector<float> out(length);
    table().dequantise_add(row.data() + 1, 0.03F, add.data(), length, out.data());
    for (size_t i = 0; i < length; ++i) {
      ASSERT_NEAR(out[i], 0.03F * static_cast<float>(row[i + 1]) + add[i], 1e-6);
    }
  }
}

TEST_P(FloatKernels, AttentionAgreesWithScalar) {
  struct Shape {
    size_t tokens, heads, head_dim;
  };
  std::vector<Shape> shapes = {{512, 1, 32}, {257, 2, 32}, {5, 12, 26}, {9, 3, 64}, {3, 2, 1}, {16, 1, 17}};
  for (size_t tokens = 1; tokens <= 40; ++tokens) shapes.push_back({tokens, 2, 32});
  for (const Shape& shape : shapes) {
    const size_t width = shape.heads * shape.head_dim, stride = 3 * width + 5;
    const std::vector<float> qkv = noise(shape.tokens * stride + 1, shape.tokens);
    std::vector<float> scratch(attention_scratch_floats(shape.tokens, shape.head_dim));
    std::vector<float> expected(shape.tokens * width, 7.0F), actual = expected;
    Attention a = {};
    a.queries = qkv.data() + 1;
    a.keys = a.queries + width;
    a.values = a.keys + width;
    a.stride = stride;
    a.tokens = shape.tokens;
    a.heads = shape.heads;
    a.head_dim = shape.head_dim;
    a.output_stride = width;
    a.scratch = scratch.data();
    a.output = expected.data();
    kScalarKernels.attention(&a);
    a.output = actual.data();
    table().attention(&a);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], 2e-5) << shape.tokens << " " << shape.head_dim << " at " << i;
    }
  }
}

// Two keys, one head: the result can be written down.
TEST_P(FloatKernels, AttentionMixesValuesByTheirScores) {
  const float query[] = {1, 0, 1, 0}, keys[] = {2, 9, 0, 9}, values[] = {10, 20, 30, 40};
  std::vector<float> scratch(attention_scratch_floats(2, 2)), out(4);
  const Attention a = {query, keys, values, 2, 2, 1, 2, out.data(), 2, scratch.data()};
  table().attention(&a);
  const double first = std::exp(2.0) / (std::exp(2.0) + 1);
  EXPECT_NEAR(out[0], 10 * first + 30 * (1 - first), 1e-4);
  EXPECT_NEAR(out[1], 20 * first + 40 * (1 - first), 1e-4);
  EXPECT_NEAR(out[3], out[1], 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, FloatKernels, ::testing::ValuesIn(kernel_names()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace enhanced_gptcache::simd
