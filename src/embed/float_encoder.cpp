#include "embed/float_encoder.h"

#include <cmath>

#include "embed/float_pair_encoder.h"
#include "embed/pooling.h"

namespace enhanced_gptcache::embed {
namespace {

float activate(Activation activation, float x) {
  if (activation == Activation::kGelu) return 0.5F * x * std::erfc(-x * static_cast<float>(M_SQRT1_2));
  const float inner = 0.7978845608028654F * (x + 0.044715F * x * x * x);
  return 0.5F * x * (1.0F + std::tanh(inner));
}

void layer_norm(float* row, size_t length, float epsilon, const NormWeights& norm) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < length; ++i) sum += static_cast<double>(row[i]);
  const double mean = sum / static_cast<double>(length);
  for (size_t i = 0; i < length; ++i) squares += std::pow(static_cast<double>(row[i]) - mean, 2);
  const double deviation = std::sqrt(squares / static_cast<double>(length) + static_cast<double>(epsilon));
  for (size_t i = 0; i < length; ++i) {
    const double x = (static_cast<double>(row[i]) - mean) / deviation;
    row[i] = static_cast<float>(x) * norm.gamma[i] + norm.beta[i];
  }
}

void softmax(std::vector<float>& row) {
  float largest = row[0], sum = 0;
  for (const float x : row) largest = std::max(largest, x);
  for (float& x : row) sum += x = std::exp(x - largest);
  for (float& x : row) x /= sum;
}

}  // namespace

FloatEncoder::FloatEncoder(const ModelConfig& config, EncoderWeights weights,
                           const simd::KernelTable& kernels)
    : config_(config), weights_(std::move(weights)), kernels_(kernels) {}

std::unique_ptr<PairEncoder> FloatEncoder::make_pair_encoder(PairWeights weights) const {
  return std::make_unique<FloatPairEncoder>(*this, std::move(weights));
}

void FloatEncoder::encode(const TokenBatch& batch, float* vectors) const { encode(batch, vectors, {}); }

void FloatEncoder::encode(const TokenBatch& batch, float* vectors, const Observer& observer) const {
  size_t begin = 0;
  for (const size_t end : batch.ends) {
    encode_text(batch.ids.subspan(begin, end - begin), vectors, observer);
    vectors += config_.hidden_size;
    begin = end;
  }
}

void FloatEncoder::encode_text(std::span<const int32_t> ids, float* vector, const Observer& observer) const {
  const size_t hidden = config_.hidden_size;
  std::vector<float> rows;
  embed_tokens(ids, ids.size(), {}, rows);
  run_layers(weights_.layers, rows, observer);
  pool_rows(config_.pooling, rows.data(), hidden, ids.size(), hidden, vector);
  normalise(vector, hidden);
}

void FloatEncoder::run_layers(std::span<const LayerWeights> layers, std::vector<float>& rows,
                              const Observer& observer) const {
  const size_t tokens = rows.size() / config_.hidden_size;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerWeights& layer = layers[i];
    const auto product = [&](LinearKind kind, const std::vector<float>& inputs) {
      if (observer) observer(i, kind, inputs.data(), tokens);
      return multiply(layer.linears[kind], inputs);
    };
    const std::vector<float> context = attend(product(kQkv, rows), tokens);
    add_and_norm(rows, product(kAttentionOut, context), layer.attention_norm);
    std::vector<float> wide = product(kIntermediate, rows);
    for (float& x : wide) x = activate(config_.activation, x);
    add_and_norm(rows, product(kOutput, wide), layer.output_norm);
  }
}

void FloatEncoder::embed_tokens(std::span<const int32_t> ids, size_t second,
                                std::span<const float> second_type, std::vector<float>& rows) const {
  const size_t hidden = config_.hidden_size;
  rows.resize(ids.size() * hidden);
  for (size_t t = 0; t < ids.size(); ++t) {
    const float* word = weights_.words.data() + static_cast<size_t>(ids[t]) * hidden;
    const float* position = weights_.positions.data() + t * hidden;
    for (size_t d = 0; d < hidden; ++d) {
      rows[t * hidden + d] = word[d] + position[d] + (t < second ? 0.0F : second_type[d]);
    }
    layer_norm(rows.data() + t * hidden, hidden, config_.layer_norm_eps, weights_.embedding_norm);
  }
}

std::vector<float> FloatEncoder::multiply(const LinearWeights& linear,
                                          const std::vector<float>& inputs) const {
  const size_t rows = inputs.size() / linear.depth;
  std::vector<float> out(rows * linear.columns);
  for (size_t c = 0; c < linear.columns; ++c) {
    const float* weights = linear.weights.data() + c * linear.depth;
    for (size_t r = 0; r < rows; ++r) {
      const float* input = inputs.data() + r * linear.depth;
      out[r * linear.columns + c] = kernels_.dot_f32(weights, input, linear.depth) + linear.biases[c];
    }
  }
  return out;
}

std::vector<float> FloatEncoder::attend(const std::vector<float>& qkv, size_t tokens) const {
  const size_t hidden = config_.hidden_size, head_dim = hidden / config_.heads;
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  std::vector<float> out(tokens * hidden, 0.0F), scores(tokens);
  for (size_t at = 0; at < hidden; at += head_dim) {
    for (size_t i = 0; i < tokens; ++i) {
      const float* query = qkv.data() + i * 3 * hidden + at;
      for (size_t j = 0; j < tokens; ++j) {
        const float* key = qkv.data() + (j * 3 + 1) * hidden + at;
        scores[j] = kernels_.dot_f32(query, key, head_dim) * scale;
      }
      softmax(scores);
      for (size_t j = 0; j < tokens; ++j) {
        const float* value = qkv.data() + (j * 3 + 2) * hidden + at;
        for (size_t d = 0; d < head_dim; ++d) out[i * hidden + at + d] += scores[j] * value[d];
      }
    }
  }
  return out;
}

void FloatEncoder::add_and_norm(std::vector<float>& rows, const std::vector<float>& change,
                                const NormWeights& norm) const {
  const size_t hidden = config_.hidden_size;
  for (size_t i = 0; i < rows.size(); ++i) rows[i] += change[i];
  for (size_t i = 0; i < rows.size(); i += hidden) {
    layer_norm(rows.data() + i, hidden, config_.layer_norm_eps, norm);
  }
}

}  // namespace enhanced_gptcache::embed
