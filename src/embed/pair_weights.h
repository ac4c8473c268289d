#pragma once
// The weights of a pair encoder and the file they come in (safetensors, metadata format
// "enhanced-gptcache-pair-encoder", version "1"; written by tools/train_verifier): per Linear of a layer
// `<BERT name>.weight` I8 [outputs][inputs] with `<BERT name>.weight_scale` F32 [outputs], in the other
// tensors F32 under their BERT names, `classifier` [1][hidden], and optionally `pooler.dense`. An optional
// metadata string data_sha256 covers the bytes of all tensors.

#include <string>
#include <string_view>
#include <vector>

#include "embed/encoder_weights.h"

namespace enhanced_gptcache::embed {

/// weight[c][k] = scales[c] * values[c * depth + k].
struct QuantisedLinear {
  size_t columns = 0;
  size_t depth = 0;
  std::vector<int8_t> values;  ///< in [-127, 127]
  std::vector<float> scales;   ///< not negative
  std::vector<float> biases;
};

struct PairLayer {
  QuantisedLinear linears[kLinearKinds];  ///< kQkv holds query, key and value under one another
  NormWeights attention_norm;
  NormWeights output_norm;
};

/// From the row of [CLS] to a logit: tanh(pooler row + biases) if there is a pooler, then the classifier.
struct PairHead {
  LinearWeights pooler;  ///< columns 0: none
  std::vector<float> classifier;
  float bias = 0;
};

/// Thread rule: plain data.
struct PairWeights {
  std::string name;
  size_t tokens_per_text = 0;
  std::vector<PairLayer> layers;
  PairHead head;
  /// Row of token type 1 minus row of type 0: what the second text's tokens get on top of `positions`.
  std::vector<float> second_type;
};

/// Reads the file for the base model of `config`, whose open weights file is `base` and whose SHA-256 is
/// `base_sha256` (64 lower-case digits). kNotFound, kIo: the file; kCorrupt: damaged, or a tensor missing, of
/// another shape or not finite; kUnsupported: another format, version or kind of tensor, or made for another
/// base model. The message names file and key.
Result<PairWeights> load_pair_weights(const std::string& path, const ModelConfig& config,
                                      const SafeTensors& base, std::string_view base_sha256);

/// `row` is one of hidden_size floats; `dot` a kernel table's dot product.
float apply_head(const PairHead& head, const float* row, float (*dot)(const float*, const float*, size_t));

}  // namespace enhanced_gptcache::embed
