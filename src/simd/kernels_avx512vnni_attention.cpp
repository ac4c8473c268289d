// Attention for AVX-512: the 16 lanes of a register are 16 queries. So a score is a broadcast of one
// number of a key times a register of queries, the softmax over keys has no step across lanes, and
// keys and values are read as they lie; only queries and results are turned round.

#include "simd/kernels_avx512vnni.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kLanes = kAttentionLanes;

__mmask16 first_lanes(size_t count) {
  return count >= kLanes ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << count) - 1U);
}

__m512 unpack_low(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

__m512 unpack_high(__m512 a, __m512 b) {
  return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

// out[c * out_stride + r] = in[r * in_stride + c] for r < rows, c < columns, both at most 16. Writes
// out_lanes numbers per row of `out`, zeros past `rows`.
void transpose(const float* in, size_t in_stride, size_t rows, size_t columns, float* out, size_t out_stride,
               size_t out_lanes) {
  __m512 a[kLanes], b[kLanes];
  const __mmask16 loaded = first_lanes(columns), stored = first_lanes(out_lanes);
  for (size_t r = 0; r < kLanes; ++r) {
    a[r] = r < rows ? _mm512_maskz_loadu_ps(loaded, in + r * in_stride) : _mm512_setzero_ps();
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kLanes; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kLanes; i += 4) {
    a[i] = unpack_low(b[i], b[i + 2]);
    a[i + 1] = unpack_high(b[i], b[i + 2]);
    a[i + 2] = unpack_low(b[i + 1], b[i + 3]);
    a[i + 3] = unpack_high(b[i + 1], b[i + 3]);
  }
  // a[4 g + c], 128-bit part p, now holds column 4 p + c of rows 4 g .. 4 g + 3.
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    const __m512 even_low = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88);
    const __m512 even_high = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xDD);
    const __m512 odd_high = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xDD);
    b[c] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    b[4 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    b[8 + c] = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
    b[12 + c] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
  }
  for (size_t c = 0; c < columns; ++c) _mm512_mask_storeu_ps(out + c * out_stride, stored, b[c]);
}

// weights[j] = query . key j for the 16 queries, [head_dim][16]; gives the largest per query. Four keys at a
// time hide the latency of the multiply-adds.
__m512 score(const Attention* a, const float* keys, const float* queries, float* weights) {
  __m512 largest = _mm512_set1_ps(-__builtin_inff());
  size_t j = 0;
  for (; j + 4 <= a->tokens; j += 4) {
    const float* key = keys + j * a->stride;
    const size_t stride = a->stride;
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t d = 0; d < a->head_dim; ++d) {
      const __m512 query = _mm512_loadu_ps(queries + d * kLanes);
      s0 = _mm512_fmadd_ps(_mm512_set1_ps(key[d]), query, s0);
      s1 = _mm512_fmadd_ps(_mm512_set1_ps(key[stride + d]), query, s1);
      s2 = _mm512_fmadd_ps(_mm512_set1_ps(key[2 * stride + d]), query, s2);
      s3 = _mm512_fmadd_ps(_mm512_set1_ps(key[3 * stride + d]), query, s3);
    }
    _mm512_storeu_ps(weights + j * kLanes, s0);
    _mm512_storeu_ps(weights + (j + 1) * kLanes, s1);
    _mm512_storeu_ps(weights + (j + 2) * kLanes, s2);
    _mm512_storeu_ps(weights + (j + 3) * kLanes, s3);
    largest = _mm512_max_ps(largest, _mm512_max_ps(_mm512_max_ps(s0, s1), _mm512_max_ps(s2, s3)));
  }
  for (; j < a->tokens; ++j) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t d = 0; d < a->head_dim; ++d) {
      const __m512 key = _mm512_set1_ps(keys[j * a->stride + d]);
      sum = _mm512_fmadd_ps(key, _mm512_loadu_ps(queries + d * kLanes), sum);
    }
    _mm512_storeu_ps(weights + j * kLanes, sum);
    largest = _mm512_max_ps(largest, sum);
  }
  return largest;
}

// weights[j] = exp(weights[j] - largest); gives 1 / sum.
__m512 exponentiate(size_t tokens, __m512 largest, float* weights) {
  __m512 sum = _mm512_setzero_ps();
  for (size_t j = 0; j < tokens; ++j) {
    const __m512 e = avx512_exp(_mm512_sub_ps(_mm512_loadu_ps(weights + j * kLanes), largest));
    _mm512_storeu_ps(weights + j * kLanes, e);
    sum = _mm512_add_ps(sum, e);
  }
  return _mm512_div_ps(_mm512_set1_ps(1.0F), sum);
}

#define MIX_DECLARE(i) __m512 sum##i = _mm512_setzero_ps();
#define MIX_STEP(i) sum##i = _mm512_fmadd_ps(_mm512_set1_ps(value[i]), weight, sum##i);
#define MIX_STORE(i) _mm512_storeu_ps(out + (d + (i)) * kLanes, _mm512_mul_ps(sum##i, inverse));
#define EIGHT(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

// out[d] = inverse * sum over keys of weights[j] * values[j][d], [head_dim][16], eight dimensions at a time.
void mix(const Attention* a, const float* values, const float* weights, __m512 inverse, float* out) {
  size_t d = 0;
  for (; d + 8 <= a->head_dim; d += 8) {
    EIGHT(MIX_DECLARE)
    for (size_t j = 0; j < a->tokens; ++j) {
      const float* value = values + j * a->stride + d;
      const __m512 weight = _mm512_loadu_ps(weights + j * kLanes);
      EIGHT(MIX_STEP)
    }
    EIGHT(MIX_STORE)
  }
  for (; d < a->head_dim; ++d) {
    __m512 sum = _mm512_setzero_ps();
    for (size_t j = 0; j < a->tokens; ++j) {
      const __m512 value = _mm512_set1_ps(values[j * a->stride + d]);
      sum = _mm512_fmadd_ps(value, _mm512_loadu_ps(weights + j * kLanes), sum);
    }
    _mm512_storeu_ps(out + d * kLanes, _mm512_mul_ps(sum, inverse));
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
  const __m512 largest = score(a, a->keys + offset, queries, weights);
  const __m512 inverse = exponentiate(a->tokens, largest, weights);
  mix(a, a->values + offset, weights, inverse, mixed);
  for (size_t d = 0; d < a->head_dim; d += kLanes) {
    const size_t width = a->head_dim - d < kLanes ? a->head_dim - d : kLanes;
    transpose(mixed + d * kLanes, kLanes, width, count, a->output + first * a->output_stride + offset + d,
              a->output_stride, width);
  }
}

}  // namespace

void avx512_attention(const Attention* a) {
  for (size_t h = 0; h < a->heads; ++h) {
    for (size_t i = 0; i < a->tokens; i += kLanes) {
      attend_block(a, h * a->head_dim, i, a->tokens - i < kLanes ? a->tokens - i : kLanes);
    }
  }
}

}  // namespace enhanced_gptcache::simd
