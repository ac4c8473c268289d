#pragma once
// Reference kernels that another table may take as they are. Not for any other file.

#include "simd/kernel_table.h"

namespace enhanced_gptcache::simd {

void scalar_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                       float* out);
void scalar_softmax(float* row, size_t length);

}  // namespace enhanced_gptcache::simd
