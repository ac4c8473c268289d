#pragma once
// The float weights of a BERT encoder, read from model.safetensors by their Hugging Face names.

#include <cstddef>
#include <vector>

#include "embed/model_config.h"
#include "embed/safetensors.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// outputs = weights * inputs + biases; weights row-major [columns][depth], a row per output.
struct LinearWeights {
  size_t columns = 0;
  size_t depth = 0;
  std::vector<float> weights;
  std::vector<float> biases;
};

struct NormWeights {
  std::vector<float> gamma;
  std::vector<float> beta;
};

/// The four matrix products of a layer in the order they run; also their index in LayerWeights.
enum LinearKind : size_t { kQkv, kAttentionOut, kIntermediate, kOutput, kLinearKinds };

struct LayerWeights {
  LinearWeights linears[kLinearKinds];  ///< kQkv holds query, key and value under one another
  NormWeights attention_norm;
  NormWeights output_norm;
};

/// Thread rule: plain data.
struct EncoderWeights {
  std::vector<float> words;      ///< [vocab_size][hidden_size]
  std::vector<float> positions;  ///< [max_positions][hidden_size], the row of token type 0 added
  NormWeights embedding_norm;
  std::vector<LayerWeights> layers;
};

/// Copies the tensors out. kCorrupt: one is missing, has another shape than the configuration says, or
/// holds a NaN or infinity; the message names file and tensor.
Result<EncoderWeights> load_encoder_weights(const SafeTensors& file, const ModelConfig& config);

/// The token type embeddings alone, [type_vocab_size][hidden_size]. Errors as above.
Result<std::vector<float>> load_token_types(const SafeTensors& file, const ModelConfig& config);

}  // namespace enhanced_gptcache::embed
