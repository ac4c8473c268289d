#pragma once
// The int8 weights as they lie in the packed file (docs in int8_file.h): where each array is, and
// views into the bytes. The layout follows from the model's shape alone, so writer and reader share
// this one description and the file needs no table of contents.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "embed/encoder_weights.h"
#include "embed/model_config.h"

namespace enhanced_gptcache::embed {

/// One matrix product: x is multiplied by `multipliers` (one per input), quantised by row, multiplied
/// with the packed weights (simd/kernel_table.h), then scales and biases (one per padded column).
template <typename Byte, typename Float>
struct Int8LinearOf {
  size_t inputs = 0;   ///< floats of an input row
  size_t depth = 0;    ///< the same, padded: int8 values of a row
  size_t outputs = 0;  ///< meaningful columns
  size_t columns = 0;  ///< the same, padded
  Byte* weights = nullptr;
  Float* scales = nullptr;
  Float* biases = nullptr;
  Float* multipliers = nullptr;
};

template <typename Byte, typename Float>
struct Int8LayerOf {
  std::array<Int8LinearOf<Byte, Float>, kLinearKinds> linears;
  Float* attention_gamma = nullptr;
  Float* attention_beta = nullptr;
  Float* output_gamma = nullptr;
  Float* output_beta = nullptr;
};

/// Pointers into one block of bytes that the owner keeps.
template <typename Byte, typename SignedByte, typename Float>
struct Int8ModelOf {
  SignedByte* words = nullptr;   ///< [vocab_size][hidden_size]
  Float* word_scales = nullptr;  ///< one per word
  Float* positions = nullptr;    ///< [max_positions][hidden_size], token type 0 included
  Float* embedding_gamma = nullptr;
  Float* embedding_beta = nullptr;
  std::vector<Int8LayerOf<Byte, Float>> layers;
};

using Int8Model = Int8ModelOf<const uint8_t, const int8_t, const float>;
using MutableInt8Model = Int8ModelOf<uint8_t, int8_t, float>;
using Int8Linear = Int8LinearOf<const uint8_t, const float>;
using Int8Layer = Int8LayerOf<const uint8_t, const float>;
using MutableInt8Layer = Int8LayerOf<uint8_t, float>;

/// Bytes of all arrays of such a model; a multiple of 64.
size_t int8_model_bytes(const ModelConfig& config);

/// Views of a block of int8_model_bytes(config) bytes, 64-byte aligned.
Int8Model view_int8_model(const ModelConfig& config, std::span<const std::byte> block);
MutableInt8Model view_int8_model(const ModelConfig& config, std::span<std::byte> block);

/// The same for layers only, without embeddings: what a pair encoder has of its own.
size_t int8_layers_bytes(const ModelConfig& config);
std::vector<Int8Layer> view_int8_layers(const ModelConfig& config, std::span<const std::byte> block);
std::vector<MutableInt8Layer> view_int8_layers(const ModelConfig& config, std::span<std::byte> block);

}  // namespace enhanced_gptcache::embed
