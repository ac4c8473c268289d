#pragma once
// What the two AVX-512 VNNI files share. Not for any other file.

#include <immintrin.h>

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

/// exp by the constants of kernel_table.h. Internal linkage: each file has its own copy.
static inline __m512 avx512_exp(__m512 x) {
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-kExpLimit)), _mm512_set1_ps(kExpLimit));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(kExp6), r, _mm512_set1_ps(kExp5));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp4));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
  return _mm512_scalef_ps(p, n);
}

}  // namespace enhanced_gptcache::simd
