#pragma once
// From one vector a token to one vector a text, as sentence-transformers' Pooling module does it.

#include <cstddef>

#include "embed/model_config.h"

namespace enhanced_gptcache::embed {

/// Pools `tokens` >= 1 rows of `dimensions` floats, `stride` floats apart, into `out`.
void pool_rows(Pooling pooling, const float* rows, size_t stride, size_t tokens, size_t dimensions,
               float* out);

/// Scales to Euclidean length 1; a vector shorter than 1e-12 is divided by that (as in the reference).
void normalise(float* vector, size_t dimensions);

}  // namespace enhanced_gptcache::embed
