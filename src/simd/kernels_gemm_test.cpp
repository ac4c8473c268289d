// Every kernel's matrix product against a product written from the definition: the int32 sums must be
// equal, the floats close.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "simd/dispatch.h"
#include "simd/pack.h"

namespace enhanced_gptcache::simd {
namespace {

struct alignas(64) Line {
  uint8_t bytes[64];
};

// One product with its operands, all of exact size so that a sanitizer sees any step past an end.
class Product {
 public:
  Product(size_t rows, size_t columns, size_t depth, int extreme, uint64_t seed)
      : rows_(rows), columns_(columns), depth_(depth), stride_(padded_depth(depth)), random_(seed) {
    inputs_.assign(rows * stride_ + 1, 0);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t k = 0; k < depth; ++k) inputs_[1 + r * stride_ + k] = value(extreme);
    }
    weights_.resize(columns * depth);
    for (int8_t& w : weights_) w = value(extreme);
    packed_.resize(packed_bytes(columns, depth) / sizeof(Line));
    pack_weights(weights_, columns, depth, {packed_.data()->bytes, packed_bytes(columns, depth)});
    fill(input_scales_, rows);
    fill(weight_scales_, padded_columns(columns));
    fill(biases_, padded_columns(columns));
    fill(residual_, rows * padded_columns(columns));
    for (size_t r = 0; r < rows; ++r) {
      int32_t sum = 0;
      for (size_t k = 0; k < depth; ++k) sum += inputs_[1 + r * stride_ + k];
      input_sums_.push_back(sum);
    }
  }

  GemmI8 arguments() const {
    GemmI8 g = {};
    g.inputs = inputs_.data() + 1;  // unaligned
    g.input_stride = stride_;
    g.input_scales = input_scales_.data();
    g.input_sums = input_sums_.data();
    g.weights = packed_.data()->bytes;
    g.weight_scales = weight_scales_.data();
    g.biases = biases_.data();
    g.rows = rows_;
    g.depth = stride_;
    g.columns = padded_columns(columns_);
    g.output_stride = g.columns;
    return g;
  }

  std::vector<int32_t> expected_sums() const {
    std::vector<int32_t> sums(rows_ * padded_columns(columns_), 0);
    for (size_t r = 0; r < rows_; ++r) {
      for (size_t c = 0; c < columns_; ++c) {
        int32_t& sum = sums[r * padded_columns(columns_) + c];
        for (size_t k = 0; k < depth_; ++k) {
          sum += inputs_[1 + r * stride_ + k] * weights_[c * depth_ + k];
        }
      }
    }
    return sums;
  }

  std::vector<float> run(const KernelTable& table, GemmActivation activation, bool with_residual) const {
    std::vector<float> out(rows_ * padded_columns(columns_));
    GemmI8 g = arguments();
    g.activation = activation;
    g.residual = with_residual ? residual_.data() : nullptr;
    g.output = out.data();
    table.gemm_i8(&g);
    return out;
  }

 private:
  // extreme: +-1 gives the largest values of one sign, 2 both signs at random, 0 everything.
  int8_t value(int extreme) {
    if (extreme == 1 || extreme == -1) return static_cast<int8_t>(127 * extreme);
    if (extreme == 2) return random_() % 2 == 0 ? int8_t{127} : int8_t{-127};
    return static_cast<int8_t>(static_cast<int>(random_() % 255) - 127);
  }
  void fill(std::vector<float>& out, size_t count) {
    for (size_t i = 0; i < count; ++i) out.push_back((static_cast<float>(random_() % 2000) - 1000) * 1e-5F);
  }

  size_t rows_, columns_, depth_, stride_;
  std::mt19937_64 random_;
  std::vector<int8_t> inputs_, weights_;
  std::vector<Line> packed_;
  std::vector<float> input_scales_, weight_scales_, biases_, residual_;
  std::vector<int32_t> input_sums_;
};

class GemmKernels : public ::testing::TestWithParam<std::string> {
 protected:
  const KernelTable& table() const { return **select_kernels(GetParam()); }

  void expect_exact(const Product& product) const {
    const std::vector<int32_t> expected = product.expected_sums();
    std::vector<int32_t> sums(expected.size(), -1);
    GemmI8 g = product.arguments();
    g.accumulators = sums.data();
    table().gemm_i8(&g);
    ASSERT_EQ(sums, expected);
  }
};

TEST_P(GemmKernels, SumsAreExactForEveryTileHeight) {
  for (size_t rows = 1; rows <= 31; ++rows) expect_exact(Product(rows, 64, 64, 0, rows));
  expect_exact(Product(113, 32, 64, 0, 1));  // more than one block of rows
  expect_exact(Product(257, 32, 4, 0, 2));
}

TEST_P(GemmKernels, SumsAreExactForEveryDepthAndWidth) {
  for (size_t depth = 1; depth <= 257; ++depth) expect_exact(Product(3, 33, depth, 0, depth));
  for (size_t columns = 1; columns <= 130; ++columns) expect_exact(Product(5, columns, 20, 0, columns));
}

TEST_P(GemmKernels, SumsAreExactAtTheExtremes) {
  for (const int extreme : {-1, 1, 2}) expect_exact(Product(7, 96, 1536, extreme, 7));
}

TEST_P(GemmKernels, FloatsAgreeWithScalar) {
  for (const auto activation : {GemmActivation::kNone, GemmActivation::kGelu, GemmActivation::kGeluTanh}) {
    for (const bool residual : {false, true}) {
      const Product product(9, 100, 96, 0, 11);
      const std::vector<float> expected = product.run(kScalarKernels, activation, residual);
      const std::vector<float> actual = product.run(table(), activation, residual);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i], 1e-5F * (1 + std::fabs(expected[i]))) << i;
      }
    }
  }
}

// One weight of 1, one input of `steps`: the epilogue sees x = steps * scale exactly.
TEST_P(GemmKernels, ActivationsFollowTheirDefinitions) {
  std::vector<Line> packed(packed_bytes(1, 4) / sizeof(Line));
  const int8_t weight[4] = {1, 0, 0, 0};
  pack_weights(weight, 1, 4, {packed.data()->bytes, packed_bytes(1, 4)});
  const std::vector<float> ones(kPanelColumns, 1.0F), zeros(kPanelColumns, 0.0F);
  for (int steps = -127; steps <= 127; ++steps) {
    for (const float scale : {0.001F, 0.03F, 0.08F, 1.0F}) {
      std::vector<int8_t> input(padded_depth(4), 0);
      input[0] = static_cast<int8_t>(steps);
      const int32_t sum = steps;
      std::vector<float> out(kPanelColumns);
      GemmI8 g = {};
      g.inputs = input.data();
      g.input_stride = g.depth = input.size();
      g.input_scales = &scale;
      g.input_sums = &sum;
      g.weights = packed.data()->bytes;
      g.weight_scales = ones.data();
      g.biases = zeros.data();
      g.rows = 1;
      g.columns = g.output_stride = kPanelColumns;
      g.output = out.data();
      const double x = static_cast<double>(steps) * static_cast<double>(scale);
      g.activation = GemmActivation::kGelu;
      table().gemm_i8(&g);
      EXPECT_NEAR(out[0], x * 0.5 * std::erfc(-x / std::sqrt(2.0)), 1e-4 + 2e-6 * std::fabs(x)) << x;
      g.activation = GemmActivation::kGeluTanh;
      table().gemm_i8(&g);
      const double inner = std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
      EXPECT_NEAR(out[0], 0.5 * x * (1 + std::tanh(inner)), 1e-5) << x;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GemmKernels, ::testing::ValuesIn(kernel_names()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace enhanced_gptcache::simd
