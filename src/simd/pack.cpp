#include "simd/pack.h"

#include <algorithm>

#include "base/check.h"

namespace enhanced_gptcache::simd {

void pack_weights(std::span<const int8_t> weights, size_t columns, size_t depth, std::span<uint8_t> packed) {
  EGPTC_CHECK(weights.size() == columns * depth);
  EGPTC_CHECK(packed.size() == packed_bytes(columns, depth));
  std::fill(packed.begin(), packed.end(), uint8_t{128});
  const size_t panel_bytes = kPanelColumns * padded_depth(depth);
  for (size_t column = 0; column < columns; ++column) {
    uint8_t* panel = packed.data() + column / kPanelColumns * panel_bytes;
    const size_t lane = column % kPanelColumns;
    for (size_t k = 0; k < depth; ++k) {
      const size_t block = k / kDepthStep * kPanelColumns * kDepthStep;
      panel[block + lane * kDepthStep + k % kDepthStep] =
          static_cast<uint8_t>(weights[column * depth + k] + 128);
    }
  }
}

}  // namespace enhanced_gptcache::simd
