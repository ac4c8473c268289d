#include "embed/int8_pair_encoder.h"

#include <algorithm>
#include <cmath>

#include "simd/pack.h"

namespace enhanced_gptcache::embed {
namespace {

std::vector<float> make_second_positions(const Int8Encoder& base, const PairWeights& weights) {
  const size_t hidden = base.config().hidden_size;
  const size_t rows = 2 * weights.tokens_per_text + 3;
  std::vector<float> positions(base.model().positions, base.model().positions + rows * hidden);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] += weights.second_type[i % hidden];
  return positions;
}

ModelConfig with_layers(ModelConfig config, size_t layers) {
  config.layers = static_cast<uint32_t>(layers);
  return config;
}

}  // namespace

AlignedBuffer pack_pair_layers(const ModelConfig& config, const std::vector<PairLayer>& layers) {
  AlignedBuffer block(int8_layers_bytes(config));
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
  std::vector<MutableInt8Layer> packed = view_int8_layers(config, block.bytes());
  const float query_factor = 1.0F / std::sqrt(static_cast<float>(config.hidden_size / config.heads));
  for (size_t i = 0; i < layers.size(); ++i) {
    for (size_t kind = 0; kind < kLinearKinds; ++kind) {
      const QuantisedLinear& from = layers[i].linears[kind];
      auto& to = packed[i].linears[kind];
      const size_t queries = kind == kQkv ? config.hidden_size : 0;
      for (size_t c = 0; c < from.columns; ++c) {
        const float factor = c < queries ? query_factor : 1.0F;
        to.scales[c] = from.scales[c] * factor;
        to.biases[c] = from.biases[c] * factor;
      }
      std::fill_n(to.multipliers, to.inputs, 1.0F);
      simd::pack_weights(from.values, from.columns, from.depth, {to.weights, to.columns * to.depth});
    }
    const auto copy = [](const NormWeights& norm, float* gamma, float* beta) {
      std::copy(norm.gamma.begin(), norm.gamma.end(), gamma);
      std::copy(norm.beta.begin(), norm.beta.end(), beta);
    };
    copy(layers[i].attention_norm, packed[i].attention_gamma, packed[i].attention_beta);
    copy(layers[i].output_norm, packed[i].output_gamma, packed[i].output_beta);
  }
  return block;
}

Int8PairEncoder::Int8PairEncoder(const Int8Encoder& base, PairWeights weights)
    : base_(base),
      tokens_per_text_(weights.tokens_per_text),
      head_(std::move(weights.head)),
      second_positions_(make_second_positions(base, weights)),
      block_(pack_pair_layers(with_layers(base.config(), weights.layers.size()), weights.layers)),
      layers_(view_int8_layers(with_layers(base.config(), weights.layers.size()), block_.bytes())),
      runner_(base.config(), base.kernels()) {}

void Int8PairEncoder::score(const PairBatch& batch, float* logits) const {
  static thread_local std::vector<size_t> ends, seconds;
  size_t first_pair = 0, first_id = 0;
  while (first_pair < batch.ends.size()) {
    ends.clear();
    seconds.clear();
    size_t pair = first_pair;
    do {
      ends.push_back(batch.ends[pair] - first_id);
      seconds.push_back(batch.seconds[pair++] - first_id);
    } while (pair < batch.ends.size() && batch.ends[pair] - first_id <= kInt8PassRows);
    score_pass({batch.ids.subspan(first_id, ends.back()), ends, seconds}, logits + first_pair);
    first_id += ends.back();
    first_pair = pair;
  }
}

void Int8PairEncoder::score_pass(const PairBatch& pass, float* logits) const {
  const Int8Workspace work(base_.config(), pass.ids.size(), max_tokens());
  embed_tokens(pass, work);
  for (size_t i = 0; i + 1 < layers_.size(); ++i) runner_.run_layer(layers_[i], pass.ends, work);
  runner_.run_layer_first_rows(layers_.back(), pass.ends, work);
  for (size_t p = 0; p < pass.ends.size(); ++p) {
    logits[p] = apply_head(head_, work.hidden + p * work.hidden_stride, base_.kernels().dot_f32);
  }
}

void Int8PairEncoder::embed_tokens(const PairBatch& pass, const Int8Workspace& work) const {
  const Int8Model& model = base_.model();
  const size_t hidden = base_.config().hidden_size;
  size_t row = 0;
  for (size_t p = 0; p < pass.ends.size(); ++p) {
    for (size_t position = 0; row < pass.ends[p]; ++row, ++position) {
      const auto id = static_cast<size_t>(pass.ids[row]);
      const float* positions = row < pass.seconds[p] ? model.positions : second_positions_.data();
      base_.kernels().dequantise_add(model.words + id * hidden, model.word_scales[id],
                                     positions + position * hidden, hidden,
                                     work.hidden + row * work.hidden_stride);
    }
  }
  runner_.normalise_rows(work, model.embedding_gamma, model.embedding_beta);
}

}  // namespace enhanced_gptcache::embed
