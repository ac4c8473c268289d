#pragma once
// The pair encoder in float: every row of every layer, weights dequantised. The reference of
// int8_pair_encoder.h, and what the precision "fp32" uses.

#include "embed/float_encoder.h"
#include "embed/pair_encoder.h"
#include "embed/pair_weights.h"

namespace enhanced_gptcache::embed {

/// Thread rule: that of PairEncoder.
class FloatPairEncoder final : public PairEncoder {
 public:
  /// Borrows `base`.
  FloatPairEncoder(const FloatEncoder& base, PairWeights weights);

  size_t tokens_per_text() const override { return tokens_per_text_; }
  void score(const PairBatch& batch, float* logits) const override;

 private:
  const FloatEncoder& base_;
  const size_t tokens_per_text_;
  const PairHead head_;
  const std::vector<float> second_type_;
  const std::vector<LayerWeights> layers_;
};

}  // namespace enhanced_gptcache::embed
