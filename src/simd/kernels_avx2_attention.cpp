// Attention for AVX2: as kernels_avx512vnni_attention.cpp, with 8 queries in the 8 lanes of a register.

#include "simd/kernels_avx2.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kLanes = 8;

__m256i first_lanes(size_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int bound = count >= kLanes ? static_cast<int>(kLanes) : static_cast<int>(count);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(bound), lane);
}

// out[c * out_stride + r] = in[r * in_stride + c] for r < rows, c < columns, both at most 8. Writes
// out_lanes numbers per row of `out`, zeros past `rows`.
void transpose(const float* in, size_t in_stride, size_t rows, size_t columns, float* out, size_t out_stride,
               size_t out_lanes) {
  __m256 a[kLanes], b[kLanes];
  const __m256i loaded = first_lanes(columns), stored = first_lanes(out_lanes);
  for (size_t r = 0; r < kLanes; ++r) {
    a[r] = r < rows ? _mm256_maskload_ps(in + r * in_stride, loaded) : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kLanes; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (size_t i = 0; i < kLanes; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
  // a[4 g + c], 128-bit half p, now holds column 4 p + c of rows 4 g .. 4 g + 3.
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    b[c] = _mm256_permute2f128_ps(a[c], a[4 + c], 0x20);
    b[4 + c] = _mm256_permute2f128_ps(a[c], a[4 + c], 0x31);
  }
  for (size_t c = 0; c < columns; ++c) _mm256_maskstore_ps(out + c * out_stride, stored, b[c]);
}

__m256 score(const Attention* a, const float* keys, const float* queries, float* weights) {
  __m256 largest = _mm256_set1_ps(-__builtin_inff());
  size_t j = 0;
  for (; j + 4 <= a->tokens; j += 4) {
    const float* key = keys + j * a->stride;
    const size_t stride = a->stride;
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t d = 0; d < a->head_dim; ++d) {
      const __m256 query = _mm256_loadu_ps(queries + d * kLanes);
      s0 = _mm256_fmadd_ps(_mm256_set1_ps(key[d]), query, s0);
      s1 = _mm256_fmadd_ps(_mm256_set1_ps(key[stride + d]), query, s1);
      s2 = _mm256_fmadd_ps(_mm256_set1_ps(key[2 * stride + d]), query, s2);
      s3 = _mm256_fmadd_ps(_mm256_set1_ps(key[3 * stride + d]), query, s3);
    }
    _mm256_storeu_ps(weights + j * kLanes, s0);
    _mm256_storeu_ps(weights + (j + 1) * kLanes, s1);
    _mm256_storeu_ps(weights + (j + 2) * kLanes, s2);
    _mm256_storeu_ps(weights + (j + 3) * kLanes, s3);
    largest = _mm256_max_ps(largest, _mm256_max_ps(_mm256_max_ps(s0, s1), _mm256_max_ps(s2, s3)));
  }
  for (; j < a->tokens; ++j) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t d = 0; d < a->head_dim; ++d) {
      const __m256 key = _mm256_set1_ps(keys[j * a->stride + d]);
      sum = _mm256_fmadd_ps(key, _mm256_loadu_ps(queries + d * kLanes), sum);
    }
    _mm256_storeu_ps(weights + j * kLanes, sum);
    largest = _mm256_max_ps(largest, sum);
  }
  return largest;
}

__m256 exponentiate(size_t tokens, __m256 largest, float* weights) {
  __m256 sum = _mm256_setzero_ps();
  for (size_t j = 0; j < tokens; ++j) {
    const __m256 e = avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(weights + j * kLanes), largest));
    _mm256_storeu_ps(weights + j * kLanes, e);
    sum = _mm256_add_ps(sum, e);
  }
  return _mm256_div_ps(_mm256_set1_ps(1.0F), sum);
}

#define MIX_DECLARE(i) __m256 sum##i = _mm256_setzero_ps();
#define MIX_STEP(i) sum##i = _mm256_fmadd_ps(_mm256_set1_ps(value[i]), weight, sum##i);
#define MIX_STORE(i) _mm256_storeu_ps(out + (d + (i)) * kLanes, _mm256_mul_ps(sum##i, inverse));
#define EIGHT(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

void mix(const Attention* a, const float* values, const float* weights, __m256 inverse, float* out) {
  size_t d = 0;
  for (; d + 8 <= a->head_dim; d += 8) {
    EIGHT(MIX_DECLARE)
    for (size_t j = 0; j < a->tokens; ++j) {
      const float* value = values + j * a->stride + d;
      const __m256 weight = _mm256_loadu_ps(weights + j * kLanes);
      EIGHT(MIX_STEP)
    }
    EIGHT(MIX_STORE)
  }
  for (; d < a->head_dim; ++d) {
    __m256 sum = _mm256_setzero_ps();
    for (size_t j = 0; j < a->tokens; ++j) {
      const __m256 value = _mm256_set1_ps(values[j * a->stride + d]);
      sum = _mm256_fmadd_ps(value, _mm256_loadu_ps(weights + j * kLanes), sum);
    }
    _mm256_storeu_ps(out + d * kLanes, _mm256_mul_ps(sum, inverse));
  }
}

// Queries [first, first + count) of one head.
void attend_block(const Attention* a, size_t offset, size_t first, size_t count) {
  float* queries = a->scratch;
  float* weights = queries + kLanes * a->head_dim;
  float* mixed = weights + kLanes * a->tokens;
  for (size_t d = 0; d < a->head_dim; d += kLanes) {
    const size_t width = a->head_dim - d < kLanes ? a->head_dim - d : kLanes;
    transpose(a->queries + first * a->stride + offset + d, a->stride, count, width, queries + d * kLanes,
              kLanes, kLanes);
  }
  const __m256 largest = score(a, a->keys + offset, queries, weights);
  const __m256 inverse = exponentiate(a->tokens, largest, weights);
  mix(a, a->values + offset, weights, inverse, mixed);
  for (size_t d = 0; d < a->head_dim; d += kLanes) {
    const size_t width = a->head_dim - d < kLanes ? a->head_dim - d : kLanes;
    transpose(mixed + d * kLanes, kLanes, width, count, a->output + first * a->output_stride + offset + d,
              a->output_stride, width);
  }
}

}  // namespace

void avx2_attention(const Attention* a) {
  for (size_t h = 0; h < a->heads; ++h) {
    for (size_t i = 0; i < a->tokens; i += kLanes) {
      attend_block(a, h * a->head_dim, i, a->tokens - i < kLanes ? a->tokens - i : kLanes);
    }
  }
}

}  // namespace enhanced_gptcache::simd
