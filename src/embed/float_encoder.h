#pragma once
// The BERT encoder in float, written to be read (Devlin et al., arXiv:1810.04805; post-norm layers of
// Vaswani et al., arXiv:1706.03762). It is the reference of the int8 encoder, the "fp32" precision,
// and what quantisation is calibrated with. The matrix products use the table's dot product.

#include <functional>

#include "embed/encoder.h"
#include "embed/encoder_weights.h"
#include "simd/kernel_table.h"

namespace enhanced_gptcache::embed {

/// Thread rule: immutable once made, apart from the observer of calibration.
class FloatEncoder final : public Encoder {
 public:
  /// Sees the inputs of every matrix product: layer, which one, `rows` rows of its depth.
  using Observer = std::function<void(size_t layer, LinearKind kind, const float* inputs, size_t rows)>;

  FloatEncoder(const ModelConfig& config, EncoderWeights weights, const simd::KernelTable& kernels);

  void encode(const TokenBatch& batch, float* vectors) const override;
  /// The same, telling `observer`.
  void encode(const TokenBatch& batch, float* vectors, const Observer& observer) const;
  std::unique_ptr<PairEncoder> make_pair_encoder(PairWeights weights) const override;

  /// One row a token; the tokens from `second` on get `second_type` added before the layer norm.
  void embed_tokens(std::span<const int32_t> ids, size_t second, std::span<const float> second_type,
                    std::vector<float>& rows) const;
  /// Any layers of this model's shape over the rows of one text, in place.
  void run_layers(std::span<const LayerWeights> layers, std::vector<float>& rows,
                  const Observer& observer) const;

  const EncoderWeights& weights() const { return weights_; }
  const simd::KernelTable& kernels() const { return kernels_; }

 private:
  void encode_text(std::span<const int32_t> ids, float* vector, const Observer& observer) const;
  std::vector<float> multiply(const LinearWeights& linear, const std::vector<float>& inputs) const;
  std::vector<float> attend(const std::vector<float>& qkv, size_t tokens) const;
  void add_and_norm(std::vector<float>& rows, const std::vector<float>& change,
                    const NormWeights& norm) const;

  ModelConfig config_;
  EncoderWeights weights_;
  const simd::KernelTable& kernels_;
};

}  // namespace enhanced_gptcache::embed
