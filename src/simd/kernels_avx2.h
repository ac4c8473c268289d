#pragma once
// What the two AVX2 files share. Not for any other file.

#include <immintrin.h>

#include "simd/kernel_table.h"

namespace enhanced_gptcache::simd {

/// Turns `rows` x 16 sums (rows of 16, already exact) into outputs, rows from `row` and columns
/// from `column` on.
void avx2_finish_tile(const GemmI8* gemm, size_t row, size_t rows, size_t column, const int32_t* sums);

void avx2_quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                       int8_t* values, float* scale, int32_t* sum);
void avx2_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                     float* out);
void avx2_softmax(float* row, size_t length);
void avx2_attention(const Attention* attention);
void avx2_dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out);
float avx2_dot_f32(const float* a, const float* b, size_t length);
int32_t avx2_dot_i8(const int8_t* a, const int8_t* b, size_t length);

/// exp by the constants of kernel_table.h. Internal linkage: each file has its own copy.
static inline __m256 avx2_exp(__m256 x) {
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-kExpLimit)), _mm256_set1_ps(kExpLimit));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(kExp6), r, _mm256_set1_ps(kExp5));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp4));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
  // |n| <= 126, so the exponent bits stay those of a normal number.
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

}  // namespace enhanced_gptcache::simd
