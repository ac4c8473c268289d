#include "embed/float_pair_encoder.h"

namespace enhanced_gptcache::embed {
namespace {

std::vector<LayerWeights> dequantise(const std::vector<PairLayer>& layers) {
  std::vector<LayerWeights> result;
  for (const PairLayer& from : layers) {
    LayerWeights to{{}, from.attention_norm, from.output_norm};
    for (size_t kind = 0; kind < kLinearKinds; ++kind) {
      const QuantisedLinear& linear = from.linears[kind];
      std::vector<float> weights(linear.values.size());
      for (size_t i = 0; i < weights.size(); ++i) {
        weights[i] = linear.scales[i / linear.depth] * static_cast<float>(linear.values[i]);
      }
      to.linears[kind] = {linear.columns, linear.depth, std::move(weights), linear.biases};
    }
    result.push_back(std::move(to));
  }
  return result;
}

}  // namespace

FloatPairEncoder::FloatPairEncoder(const FloatEncoder& base, PairWeights weights)
    : base_(base),
      tokens_per_text_(weights.tokens_per_text),
      head_(std::move(weights.head)),
      second_type_(std::move(weights.second_type)),
      layers_(dequantise(weights.layers)) {}

void FloatPairEncoder::score(const PairBatch& batch, float* logits) const {
  size_t begin = 0;
  std::vector<float> rows;
  for (size_t p = 0; p < batch.ends.size(); ++p) {
    const std::span<const int32_t> ids = batch.ids.subspan(begin, batch.ends[p] - begin);
    base_.embed_tokens(ids, batch.seconds[p] - begin, second_type_, rows);
    base_.run_layers(layers_, rows, {});
    logits[p] = apply_head(head_, rows.data(), base_.kernels().dot_f32);
    begin = batch.ends[p];
  }
}

}  // namespace enhanced_gptcache::embed
