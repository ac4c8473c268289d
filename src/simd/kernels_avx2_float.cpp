// The float side of the AVX2 table. Whole registers of 8, then plain loops for the ends of rows.

#include "simd/kernels_avx2.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kLanes = 8;

__m256 gelu(__m256 x) {
  const __m256 limit = _mm256_set1_ps(kGeluLimit);
  const __m256 u = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-kGeluLimit)), limit);
  const __m256 t = _mm256_mul_ps(u, u);
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(kGelu7), t, _mm256_set1_ps(kGelu6));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu5));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu4));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu3));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu2));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu1));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(kGelu0));
  return _mm256_mul_ps(x, _mm256_fmadd_ps(u, p, _mm256_set1_ps(0.5F)));
}

__m256 gelu_tanh(__m256 x) {
  const __m256 cube = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
  const __m256 sum = _mm256_fmadd_ps(cube, _mm256_set1_ps(kGeluTanhCubic), x);
  const __m256 e = avx2_exp(_mm256_mul_ps(sum, _mm256_set1_ps(-kGeluTanhLinear)));
  return _mm256_div_ps(x, _mm256_add_ps(e, _mm256_set1_ps(1.0F)));
}

__m256 activate(GemmActivation activation, __m256 x) {
  if (activation == GemmActivation::kGelu) return gelu(x);
  if (activation == GemmActivation::kGeluTanh) return gelu_tanh(x);
  return x;
}

__m256i tail_lanes(size_t left) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int count = left >= kLanes ? static_cast<int>(kLanes) : static_cast<int>(left);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
}

float sum_lanes(__m256 x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

float max_lanes(__m256 x) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

int32_t sum_lanes(__m256i x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

__m256 product(const float* row, const float* multipliers, size_t i, __m256i lanes) {
  return _mm256_mul_ps(_mm256_maskload_ps(row + i, lanes), _mm256_maskload_ps(multipliers + i, lanes));
}

}  // namespace

void avx2_finish_tile(const GemmI8* g, size_t row, size_t rows, size_t column, const int32_t* sums) {
  for (size_t half = 0; half < 16; half += kLanes) {
    const __m256 weight_scales = _mm256_loadu_ps(g->weight_scales + column + half);
    const __m256 biases = _mm256_loadu_ps(g->biases + column + half);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = (row + r) * g->output_stride + column + half;
      const __m256i sum = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + r * 16 + half));
      if (g->accumulators != nullptr) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(g->accumulators + at), sum);
        continue;
      }
      const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(g->input_scales[row + r]), weight_scales);
      __m256 x = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, biases);
      x = activate(g->activation, x);
      if (g->residual != nullptr) x = _mm256_add_ps(x, _mm256_loadu_ps(g->residual + at));
      _mm256_storeu_ps(g->output + at, x);
    }
  }
}

void avx2_quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                       int8_t* values, float* scale, int32_t* sum) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  __m256 largest_lanes = _mm256_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256 x = product(row, multipliers, i, tail_lanes(length - i));
    largest_lanes = _mm256_max_ps(largest_lanes, _mm256_andnot_ps(sign, x));
  }
  const float largest = max_lanes(largest_lanes);
  const bool zero = largest < kQuantiseMin;
  const __m256 inverse = _mm256_set1_ps(zero ? 0.0F : 127.0F / largest);
  __m256i total = _mm256_setzero_si256();
  alignas(32) int32_t last[kLanes];
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256 x = product(row, multipliers, i, tail_lanes(length - i));
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse));
    total = _mm256_add_epi32(total, q);
    if (length - i >= kLanes) {
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(values + i), _mm_packs_epi16(words, words));
    } else {
      _mm256_store_si256(reinterpret_cast<__m256i*>(last), q);
      for (size_t j = i; j < length; ++j) values[j] = static_cast<int8_t>(last[j - i]);
    }
  }
  for (size_t i = length; i < padded_length; ++i) values[i] = 0;
  *scale = zero ? 0.0F : largest / 127.0F;
  *sum = sum_lanes(total);
}

void avx2_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                     float* out) {
  __m256 sums = _mm256_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    sums = _mm256_add_ps(sums, _mm256_maskload_ps(row + i, tail_lanes(length - i)));
  }
  const __m256 mean = _mm256_set1_ps(sum_lanes(sums) / static_cast<float>(length));
  __m256 squares = _mm256_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    const __m256 centred = _mm256_sub_ps(_mm256_maskload_ps(row + i, lanes), mean);
    const __m256 x = _mm256_and_ps(centred, _mm256_castsi256_ps(lanes));
    squares = _mm256_fmadd_ps(x, x, squares);
  }
  const float variance = sum_lanes(squares) / static_cast<float>(length);
  const __m256 inverse = _mm256_set1_ps(1.0F / __builtin_sqrtf(variance + epsilon));
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    const __m256 x = _mm256_mul_ps(_mm256_sub_ps(_mm256_maskload_ps(row + i, lanes), mean), inverse);
    const __m256 y =
        _mm256_fmadd_ps(x, _mm256_maskload_ps(gamma + i, lanes), _mm256_maskload_ps(beta + i, lanes));
    _mm256_maskstore_ps(out + i, lanes, y);
  }
}

void avx2_softmax(float* row, size_t length) {
  const __m256 first = _mm256_set1_ps(row[0]);
  __m256 largest_lanes = first;
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    const __m256 x = _mm256_blendv_ps(first, _mm256_maskload_ps(row + i, lanes), _mm256_castsi256_ps(lanes));
    largest_lanes = _mm256_max_ps(largest_lanes, x);
  }
  const __m256 largest = _mm256_set1_ps(max_lanes(largest_lanes));
  __m256 sums = _mm256_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    const __m256 e = avx2_exp(_mm256_sub_ps(_mm256_maskload_ps(row + i, lanes), largest));
    sums = _mm256_add_ps(sums, _mm256_and_ps(e, _mm256_castsi256_ps(lanes)));
    _mm256_maskstore_ps(row + i, lanes, e);
  }
  const __m256 inverse = _mm256_set1_ps(1.0F / sum_lanes(sums));
  for (size_t i = 0; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    _mm256_maskstore_ps(row + i, lanes, _mm256_mul_ps(_mm256_maskload_ps(row + i, lanes), inverse));
  }
}

void avx2_dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out) {
  const __m256 scales = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + kLanes <= length; i += kLanes) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + i));
    const __m256 x = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    _mm256_storeu_ps(out + i, _mm256_fmadd_ps(scales, x, _mm256_loadu_ps(add + i)));
  }
  for (; i < length; ++i) out[i] = __builtin_fmaf(scale, static_cast<float>(row[i]), add[i]);
}

float avx2_dot_f32(const float* a, const float* b, size_t length) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * kLanes <= length; i += 4 * kLanes) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
    s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16), s2);
    s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24), s3);
  }
  for (; i < length; i += kLanes) {
    const __m256i lanes = tail_lanes(length - i);
    s0 = _mm256_fmadd_ps(_mm256_maskload_ps(a + i, lanes), _mm256_maskload_ps(b + i, lanes), s0);
  }
  return sum_lanes(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

int32_t avx2_dot_i8(const int8_t* a, const int8_t* b, size_t length) {
  __m256i sum = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 16 <= length; i += 16) {
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i)));
    const __m256i y = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i)));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, y));
  }
  int32_t total = sum_lanes(sum);
  for (; i < length; ++i) total += static_cast<int32_t>(a[i]) * static_cast<int32_t>(b[i]);
  return total;
}

}  // namespace enhanced_gptcache::simd
