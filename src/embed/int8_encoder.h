#pragma once
// The encoder on int8 weights: per row dynamic activations times per channel weights in exact int32
// sums, everything between the products in float.

#include "embed/encoder.h"
#include "embed/int8_file.h"
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
  bool is_mapped() const { return block_.is_mapped(); }

 private:
  struct Workspace;

  void encode_pass(const TokenBatch& pass, float* vectors) const;
  void embed_tokens(const TokenBatch& pass, const Workspace& work) const;
  void run_layer(const Int8Layer& layer, const TokenBatch& pass, const Workspace& work) const;
  void attend(const TokenBatch& pass, const Workspace& work) const;
  void normalise_rows(const Workspace& work, const float* gamma, const float* beta) const;
  void multiply(const Int8Linear& linear, const float* inputs, size_t input_stride, bool activated,
                const float* residual, float* outputs, const Workspace& work) const;

  const ModelConfig config_;
  const Int8Block block_;
  const Int8Model model_;
  const simd::KernelTable& kernels_;
};

}  // namespace enhanced_gptcache::embed
