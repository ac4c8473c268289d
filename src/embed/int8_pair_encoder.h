#pragma once
// The pair encoder on the int8 kernels. Of the last layer only the row of [CLS] is computed.

#include "embed/aligned_buffer.h"
#include "embed/int8_encoder.h"
#include "embed/pair_encoder.h"
#include "embed/pair_weights.h"

namespace enhanced_gptcache::embed {

/// Layers as the file has them in the form the kernels read (view_int8_layers; config.layers of them). The
/// queries' factor 1/sqrt(head_dim) goes into their scales.
AlignedBuffer pack_pair_layers(const ModelConfig& config, const std::vector<PairLayer>& layers);

/// Thread rule: that of PairEncoder. score allocates nothing after a thread's first pairs of a length.
class Int8PairEncoder final : public PairEncoder {
 public:
  /// Borrows `base`.
  Int8PairEncoder(const Int8Encoder& base, PairWeights weights);

  size_t tokens_per_text() const override { return tokens_per_text_; }
  void score(const PairBatch& batch, float* logits) const override;

 private:
  void score_pass(const PairBatch& pass, float* logits) const;
  void embed_tokens(const PairBatch& pass, const Int8Workspace& work) const;

  const Int8Encoder& base_;
  const size_t tokens_per_text_;
  const PairHead head_;
  const std::vector<float> second_positions_;  ///< base positions with token type 1 in place of 0
  const AlignedBuffer block_;
  const std::vector<Int8Layer> layers_;
  const Int8LayerRunner runner_;
};

}  // namespace enhanced_gptcache::embed
