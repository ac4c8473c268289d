#pragma once

#include <cstdint>

namespace enhanced_gptcache::index {

struct Neighbour {
  uint64_t label = 0;
  float similarity = 0;  ///< cosine in [-1, 1] (dot product of unit vectors)
};

}  // namespace enhanced_gptcache::index
