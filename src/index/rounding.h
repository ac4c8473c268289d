#pragma once
// Rounding on the hot path: std::lrint is a call for each number, and keeps loops from being vectorised.

#include <bit>
#include <cstdint>

namespace enhanced_gptcache::index {

/// The nearest whole number, ties to even, as std::lrint gives it in the default mode: adding 1.5 * 2^23
/// leaves no bits for a fraction. |value| < 2^22.
inline int32_t rounded(float value) {
  constexpr float kNoFraction = 12582912.0F;
  return std::bit_cast<int32_t>(value + kNoFraction) - std::bit_cast<int32_t>(kNoFraction);
}

}  // namespace enhanced_gptcache::index
