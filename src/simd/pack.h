#pragma once
// The packed layout of int8 weights (kernel_table.h states it) and the sizes kernels ask for.

#include <cstddef>
#include <cstdint>
#include <span>

#include "simd/kernel_table.h"

namespace enhanced_gptcache::simd {

constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Columns with padding; arrays of scales, biases and output rows have this length.
constexpr size_t padded_columns(size_t columns) { return round_up(columns, kPanelColumns); }
/// Depth with padding; rows of int8 inputs have this length.
constexpr size_t padded_depth(size_t depth) { return round_up(depth, kRowPadding); }
/// Bytes of a packed matrix.
constexpr size_t packed_bytes(size_t columns, size_t depth) {
  return padded_columns(columns) * padded_depth(depth);
}

/// Floats of Attention::scratch.
constexpr size_t attention_scratch_floats(size_t tokens, size_t head_dim) {
  return kAttentionLanes * (tokens + 2 * head_dim);
}

/// Packs `weights`, row-major [columns][depth] with values in [-127, 127], into `packed`, which has
/// packed_bytes(columns, depth) bytes. Any thread.
void pack_weights(std::span<const int8_t> weights, size_t columns, size_t depth, std::span<uint8_t> packed);

}  // namespace enhanced_gptcache::simd
