#pragma once
// What the two AVX-512 VNNI files share. Not for any other file.

#include "simd/kernel_table.h"

namespace enhanced_gptcache::simd {

/// Turns `rows` x kPanelColumns raw sums (rows of kPanelColumns, the weight offset still in them)
/// into outputs, rows from `row` and columns from `column` on.
void avx512_finish_tile(const GemmI8* gemm, size_t row, size_t rows, size_t column, const int32_t* sums);

void avx512_quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                         int8_t* values, float* scale, int32_t* sum);
void avx512_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                       float* out);
void avx512_softmax(float* row, size_t length);
void avx512_attention(const Attention* attention);
void avx512_dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out);
float avx512_dot_f32(const float* a, const float* b, size_t length);
int32_t avx512_dot_i8(const int8_t* a, const int8_t* b, size_t length);

}  // namespace enhanced_gptcache::simd
