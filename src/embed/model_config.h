#pragma once
// What the JSON files of a sentence-transformers BERT folder say: the shape of the encoder
// (config.json), how token vectors become one vector (modules.json, 1_Pooling/config.json) and how
// many tokens the model sees (sentence_bert_config.json). Only reads; the encoder checks that the
// tensors have these shapes.

#include <cstdint>
#include <string>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

enum class Activation {
  kGelu,      ///< x * Phi(x) with the error function ("gelu")
  kGeluTanh,  ///< the tanh approximation ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")
};

enum class Pooling {
  kMean,         ///< mean over all tokens, [CLS] and [SEP] included
  kCls,          ///< the first token's vector
  kMax,          ///< per dimension, the largest over all tokens
  kMeanSqrtLen,  ///< sum over all tokens divided by the square root of their number
};

/// Thread rule: plain data. Every count is at least 1 and inside the limits of model_config.cpp;
/// hidden_size is a multiple of heads; 3 <= window_tokens <= max_positions.
struct ModelConfig {
  uint32_t hidden_size = 0;
  uint32_t layers = 0;
  uint32_t heads = 0;
  uint32_t intermediate_size = 0;
  uint32_t vocab_size = 0;
  uint32_t max_positions = 0;
  uint32_t type_vocab_size = 0;
  float layer_norm_eps = 1e-12F;
  Activation activation = Activation::kGelu;
  Pooling pooling = Pooling::kMean;
  /// True when the folder lists a Normalize module. Our vectors have length 1 either way.
  bool normalize = false;
  /// Tokens the model sees, [CLS] and [SEP] included: max_seq_length, else min(512, max_positions).
  uint32_t window_tokens = 0;
  /// The folder of config.json, weights and tokenizer: model_dir, or its subfolder named in
  /// modules.json ("0_Transformer" in old folders).
  std::string transformer_dir;
};

/// Reads the folder. kNotFound: no such folder or no config.json; kCorrupt: a file is damaged or a
/// value has the wrong type or is out of range; kUnsupported: a well-formed model this build cannot
/// run (another architecture, activation, pooling or extra module). The message names file and key.
Result<ModelConfig> load_model_config(const std::string& model_dir);

}  // namespace enhanced_gptcache::embed
