#include "embed/quantiser.h"

#include <algorithm>
#include <cmath>

#include "simd/pack.h"

namespace enhanced_gptcache::embed {
namespace {

// A channel that was silent during calibration may still speak later, so no channel counts as smaller
// than this share of the mean; and no weight column as smaller than the same share of the largest.
constexpr float kSmallestShare = 0.02F;

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float x : values) largest = std::max(largest, std::fabs(x));
  return largest;
}

// s[k] = sqrt(activation size / weight size): inputs are divided by it and weights multiplied, so both
// sides become equally uneven.
std::vector<float> smoothing(const LinearWeights& linear, const std::vector<float>& sizes) {
  std::vector<float> weight_sizes(linear.depth, 0.0F);
  for (size_t i = 0; i < linear.weights.size(); ++i) {
    float& size = weight_sizes[i % linear.depth];
    size = std::max(size, std::fabs(linear.weights[i]));
  }
  double total = 0;
  for (const float size : sizes) total += static_cast<double>(size);
  const float size_min = kSmallestShare * static_cast<float>(total / static_cast<double>(sizes.size()));
  const float weight_min = kSmallestShare * largest_magnitude(weight_sizes);
  std::vector<float> factors(linear.depth, 1.0F);
  for (size_t k = 0; k < linear.depth; ++k) {
    const float size = std::max(sizes[k], size_min), weight = std::max(weight_sizes[k], weight_min);
    if (size > 0 && weight > 0) factors[k] = std::sqrt(size / weight);
  }
  return factors;
}

using MutableLinear = Int8LinearOf<uint8_t, float>;

// `output_factors(column)` is folded into scale and bias of that column.
template <typename Factor>
void quantise_linear(const LinearWeights& linear, const std::vector<float>& sizes,
                     const Factor& output_factor, MutableLinear& out) {
  const std::vector<float> factors = smoothing(linear, sizes);
  std::vector<int8_t> values(linear.weights.size());
  std::vector<float> row(linear.depth);
  for (size_t c = 0; c < linear.columns; ++c) {
    for (size_t k = 0; k < linear.depth; ++k) row[k] = linear.weights[c * linear.depth + k] * factors[k];
    const float largest = largest_magnitude(row);
    const float inverse = largest > 0 ? 127.0F / largest : 0.0F;
    for (size_t k = 0; k < linear.depth; ++k) {
      values[c * linear.depth + k] = static_cast<int8_t>(std::lrint(row[k] * inverse));
    }
    out.scales[c] = largest / 127.0F * output_factor(c);
    out.biases[c] = linear.biases[c] * output_factor(c);
  }
  for (size_t k = 0; k < linear.depth; ++k) out.multipliers[k] = 1.0F / factors[k];
  simd::pack_weights(values, linear.columns, linear.depth, {out.weights, out.columns * out.depth});
}

void quantise_words(const ModelConfig& config, const EncoderWeights& weights, MutableInt8Model& model) {
  const size_t hidden = config.hidden_size;
  for (size_t word = 0; word < config.vocab_size; ++word) {
    const std::span<const float> row(weights.words.data() + word * hidden, hidden);
    const float largest = largest_magnitude(row);
    const float inverse = largest > 0 ? 127.0F / largest : 0.0F;
    for (size_t d = 0; d < hidden; ++d) {
      model.words[word * hidden + d] = static_cast<int8_t>(std::lrint(row[d] * inverse));
    }
    model.word_scales[word] = largest / 127.0F;
  }
}

void copy_norm(const NormWeights& norm, float* gamma, float* beta) {
  std::copy(norm.gamma.begin(), norm.gamma.end(), gamma);
  std::copy(norm.beta.begin(), norm.beta.end(), beta);
}

}  // namespace

ChannelSizes measure_channels(const ModelConfig& config, const FloatEncoder& encoder,
                              const TokenBatch& batch) {
  ChannelSizes sizes(config.layers);
  size_t total_rows = 0;
  const auto add = [&](size_t layer, LinearKind kind, const float* inputs, size_t rows) {
    std::vector<float>& squares = sizes[layer][kind];
    const size_t depth = encoder.weights().layers[layer].linears[kind].depth;
    squares.resize(depth, 0.0F);
    for (size_t i = 0; i < rows * depth; ++i) squares[i % depth] += inputs[i] * inputs[i];
    if (layer == 0 && kind == kQkv) total_rows += rows;
  };
  std::vector<float> vectors(batch.ends.size() * config.hidden_size);
  encoder.encode(batch, vectors.data(), add);
  for (auto& layer : sizes) {
    for (std::vector<float>& channels : layer) {
      for (float& x : channels) x = std::sqrt(x / static_cast<float>(total_rows));
    }
  }
  return sizes;
}

void quantise_model(const ModelConfig& config, const EncoderWeights& weights, const ChannelSizes& sizes,
                    std::span<std::byte> block) {
  MutableInt8Model model = view_int8_model(config, block);
  const float query_factor = 1.0F / std::sqrt(static_cast<float>(config.hidden_size / config.heads));
  for (size_t i = 0; i < config.layers; ++i) {
    const LayerWeights& from = weights.layers[i];
    auto& to = model.layers[i];
    for (size_t kind = 0; kind < kLinearKinds; ++kind) {
      // The attention kernel expects queries divided by sqrt(head_dim).
      const size_t queries = kind == kQkv ? config.hidden_size : 0;
      const auto factor = [&](size_t column) { return column < queries ? query_factor : 1.0F; };
      quantise_linear(from.linears[kind], sizes[i][kind], factor, to.linears[kind]);
    }
    copy_norm(from.attention_norm, to.attention_gamma, to.attention_beta);
    copy_norm(from.output_norm, to.output_gamma, to.output_beta);
  }
  copy_norm(weights.embedding_norm, model.embedding_gamma, model.embedding_beta);
  std::copy(weights.positions.begin(), weights.positions.end(), model.positions);
  quantise_words(config, weights, model);
}

}  // namespace enhanced_gptcache::embed
