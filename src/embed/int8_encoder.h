#pragma once
// The sentence encoder on int8 weights: embeddings, the layers of int8_layers.h, pooling.

#include "embed/encoder.h"
#include "embed/int8_file.h"
#include "embed/int8_layers.h"
#include "embed/int8_model.h"
#include "simd/kernel_table.h"

namespace enhanced_gptcache::embed {

/// Rows that go through the layers together. Longer batches are cut between texts: more rows would not make
/// the products faster (weights are read once per 112 rows) but push the working set out of second-level
/// cache.
constexpr size_t kInt8PassRows = 112;

/// Thread rule: immutable once made. encode allocates nothing after a thread's first texts of a length.
class Int8Encoder final : public Encoder {
 public:
  Int8Encoder(const ModelConfig& config, Int8Block block, const simd::KernelTable& kernels);

  void encode(const TokenBatch& batch, float* vectors) const override;
  std::unique_ptr<PairEncoder> make_pair_encoder(PairWeights weights) const override;
  bool is_mapped() const { return block_.is_mapped(); }

  const ModelConfig& config() const { return config_; }
  const Int8Model& model() const { return model_; }
  const simd::KernelTable& kernels() const { return kernels_; }

 private:
  void encode_pass(const TokenBatch& pass, float* vectors) const;
  void embed_tokens(const TokenBatch& pass, const Int8Workspace& work) const;

  const ModelConfig config_;
  const Int8Block block_;
  /// The layers of a mapped block once more.
  const AlignedBuffer layers_;
  const Int8Model model_;
  const simd::KernelTable& kernels_;
  const Int8LayerRunner runner_;
};

}  // namespace enhanced_gptcache::embed
