#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace enhanced_gptcache::index {

struct Neighbour {
  uint64_t label = 0;
  float similarity = 0;  ///< cosine in [-1, 1] (dot product of unit vectors)
};

/// Sees a row, as it was given but for rounding.
using VisitRow = std::function<void(uint64_t label, std::span<const float> vector)>;

}  // namespace enhanced_gptcache::index
