#include "embed/quantiser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "embed/aligned_buffer.h"
#include "embed/tiny_model.h"
#include "simd/pack.h"

namespace enhanced_gptcache::embed {
namespace {

AlignedBuffer zero_block(const ModelConfig& config) {
  AlignedBuffer block(int8_model_bytes(config));
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
  return block;
}

ChannelSizes made_up_sizes(const EncoderWeights& weights) {
  ChannelSizes sizes(weights.layers.size());
  for (size_t layer = 0; layer < sizes.size(); ++layer) {
    for (size_t kind = 0; kind < kLinearKinds; ++kind) {
      std::vector<float>& channels = sizes[layer][kind];
      channels.resize(weights.layers[layer].linears[kind].depth);
      // One channel speaks a hundred times louder than the others, one is silent.
      for (size_t k = 0; k < channels.size(); ++k) channels[k] = 1.0F + 0.01F * static_cast<float>(k);
      channels[3] = 100.0F;
      channels[4] = 0.0F;
    }
  }
  return sizes;
}

// The weight as the kernels see it: byte, offset, scale of the column, multiplier of the input.
float seen_weight(const Int8Linear& linear, size_t column, size_t k) {
  const size_t panel = column / simd::kPanelColumns * simd::kPanelColumns * linear.depth;
  const size_t block = k / simd::kDepthStep * simd::kPanelColumns * simd::kDepthStep;
  const size_t lane = column % simd::kPanelColumns * simd::kDepthStep + k % simd::kDepthStep;
  const int value = static_cast<int>(linear.weights[panel + block + lane]) - 128;
  return static_cast<float>(value) * linear.scales[column] * linear.multipliers[k];
}

TEST(Quantiser, WeightsComeBackWithinHalfAStep) {
  const ModelConfig config = tiny_config();
  const EncoderWeights weights = tiny_weights(config);
  AlignedBuffer block = zero_block(config);
  quantise_model(config, weights, made_up_sizes(weights), block.bytes());
  const Int8Model model = view_int8_model(config, std::as_const(block).bytes());
  for (size_t kind = 0; kind < kLinearKinds; ++kind) {
    const LinearWeights& from = weights.layers[1].linears[kind];
    const Int8Linear& to = model.layers[1].linears[kind];
    for (size_t c = 0; c < from.columns; ++c) {
      const float factor = kind == kQkv && c < config.hidden_size ? 0.25F : 1.0F;  // 1 / sqrt(head_dim 16)
      ASSERT_FLOAT_EQ(to.biases[c], from.biases[c] * factor);
      for (size_t k = 0; k < from.depth; ++k) {
        ASSERT_NEAR(seen_weight(to, c, k), from.weights[c * from.depth + k] * factor,
                    0.51F * to.scales[c] * to.multipliers[k]);
      }
    }
    for (size_t c = from.columns; c < to.columns; ++c) ASSERT_EQ(to.scales[c], 0.0F);
  }
}

TEST(Quantiser, LoudChannelsAreDampedAndSilentOnesStayInBounds) {
  const ModelConfig config = tiny_config();
  const EncoderWeights weights = tiny_weights(config);
  AlignedBuffer block = zero_block(config);
  quantise_model(config, weights, made_up_sizes(weights), block.bytes());
  const Int8Model model = view_int8_model(config, std::as_const(block).bytes());
  const Int8Linear& linear = model.layers[0].linears[kQkv];
  EXPECT_LT(linear.multipliers[3], linear.multipliers[2] / 5);
  EXPECT_GT(linear.multipliers[4], linear.multipliers[2]);
  EXPECT_LT(linear.multipliers[4], linear.multipliers[2] * 10);
}

TEST(Quantiser, WordsComeBackWithinHalfAStep) {
  const ModelConfig config = tiny_config();
  EncoderWeights weights = tiny_weights(config);
  std::fill_n(weights.words.begin(), config.hidden_size, 0.0F);  // [PAD] of some models
  AlignedBuffer block = zero_block(config);
  quantise_model(config, weights, made_up_sizes(weights), block.bytes());
  const Int8Model model = view_int8_model(config, std::as_const(block).bytes());
  for (size_t i = 0; i < weights.words.size(); ++i) {
    const float scale = model.word_scales[i / config.hidden_size];
    ASSERT_NEAR(static_cast<float>(model.words[i]) * scale, weights.words[i], 0.51F * scale);
  }
}

TEST(Quantiser, MeasuresRootMeanSquares) {
  const ModelConfig config = tiny_config();
  const FloatEncoder encoder(config, tiny_weights(config), simd::kScalarKernels);
  const std::vector<int32_t> ids = {2, 10, 11, 3, 2, 30, 3};
  const std::vector<size_t> ends = {4, 7};
  std::vector<double> squares(config.hidden_size, 0);
  std::vector<float> vectors(2 * config.hidden_size);
  encoder.encode(
      {ids, ends}, vectors.data(), [&](size_t layer, LinearKind kind, const float* rows, size_t count) {
        if (layer != 1 || kind != kIntermediate) return;
        for (size_t i = 0; i < count * config.hidden_size; ++i) {
          squares[i % config.hidden_size] += static_cast<double>(rows[i]) * static_cast<double>(rows[i]);
        }
      });
  const ChannelSizes sizes = measure_channels(config, encoder, {ids, ends});
  ASSERT_EQ(sizes.size(), config.layers);
  ASSERT_EQ(sizes[1][kOutput].size(), config.intermediate_size);
  for (size_t d = 0; d < config.hidden_size; ++d) {
    EXPECT_NEAR(sizes[1][kIntermediate][d], std::sqrt(squares[d] / 7), 1e-5);
  }
}

TEST(EncoderWeights, NamesTheTensorThatIsMissingOrMisshapen) {
  const ModelConfig config = tiny_config();
  const TempFolder folder;
  TinyTensors missing(config);
  missing.erase("encoder.layer.1.output.dense.bias");
  auto file = SafeTensors::open(folder.write("missing.safetensors", missing.bytes()));
  // The reader may refuse the hole in the data already; then there is nothing to load.
  if (file) {
    expect_error(load_encoder_weights(*file, config), ErrorCode::kCorrupt,
                 "encoder.layer.1.output.dense.bias");
  }
  ModelConfig wider = config;
  wider.intermediate_size = 96;
  const auto narrow = SafeTensors::open(folder.write("narrow.safetensors", TinyTensors(config).bytes()));
  ASSERT_TRUE(narrow.has_value());
  expect_error(load_encoder_weights(*narrow, wider), ErrorCode::kCorrupt, "intermediate.dense.weight");
  ModelConfig deeper = config;
  deeper.layers = 3;
  expect_error(load_encoder_weights(*narrow, deeper), ErrorCode::kCorrupt, "encoder.layer.2.");
}

TEST(EncoderWeights, ReadsModelsSavedWithAHead) {
  const ModelConfig config = tiny_config();
  const TempFolder folder;
  const auto file = SafeTensors::open(folder.write("m.safetensors", TinyTensors(config, "bert.").bytes()));
  ASSERT_TRUE(file.has_value());
  const auto weights = load_encoder_weights(*file, config);
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  const EncoderWeights plain = tiny_weights(config);
  EXPECT_EQ(weights->words, plain.words);
  EXPECT_EQ(weights->layers[1].linears[kQkv].weights, plain.layers[1].linears[kQkv].weights);
  EXPECT_EQ(weights->layers[1].linears[kQkv].columns, 3 * config.hidden_size);
}

}  // namespace
}  // namespace enhanced_gptcache::embed
