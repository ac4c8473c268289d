// The float side of the AVX-512 VNNI table: epilogue of the matrix product, layer norm, softmax,
// quantisation and dot products. Ends of rows are masked, so no kernel reads or writes
// past a length.

#include "simd/kernels_avx512vnni.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kLanes = 16;

__mmask16 tail_mask(size_t left) {
  return left >= kLanes ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << left) - 1U);
}

__m512 gelu(__m512 x) {
  const __m512 limit = _mm512_set1_ps(kGeluLimit);
  const __m512 u = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-kGeluLimit)), limit);
  const __m512 t = _mm512_mul_ps(u, u);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(kGelu7), t, _mm512_set1_ps(kGelu6));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu5));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu4));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu3));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu2));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu1));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(kGelu0));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(u, p, _mm512_set1_ps(0.5F)));
}

__m512 gelu_tanh(__m512 x) {
  const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
  const __m512 sum = _mm512_fmadd_ps(cube, _mm512_set1_ps(kGeluTanhCubic), x);
  const __m512 e = avx512_exp(_mm512_mul_ps(sum, _mm512_set1_ps(-kGeluTanhLinear)));
  return _mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1.0F)));
}

__m512 activate(GemmActivation activation, __m512 x) {
  if (activation == GemmActivation::kGelu) return gelu(x);
  if (activation == GemmActivation::kGeluTanh) return gelu_tanh(x);
  return x;
}

__m512 abs_product(const float* row, const float* multipliers, size_t i, __mmask16 mask) {
  const __m512 product =
      _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row + i), _mm512_maskz_loadu_ps(mask, multipliers + i));
  return _mm512_abs_ps(product);
}

}  // namespace

void avx512_finish_tile(const GemmI8* g, size_t row, size_t rows, size_t column, const int32_t* sums) {
  for (size_t half = 0; half < kPanelColumns; half += kLanes) {
    const __m512 weight_scales = _mm512_loadu_ps(g->weight_scales + column + half);
    const __m512 biases = _mm512_loadu_ps(g->biases + column + half);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = (row + r) * g->output_stride + column + half;
      const __m512i offset = _mm512_set1_epi32(128 * g->input_sums[row + r]);
      const __m512i sum = _mm512_sub_epi32(_mm512_load_si512(sums + r * kPanelColumns + half), offset);
      if (g->accumulators != nullptr) {
        _mm512_storeu_si512(g->accumulators + at, sum);
        continue;
      }
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(g->input_scales[row + r]), weight_scales);
      __m512 x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, biases);
      x = activate(g->activation, x);
      if (g->residual != nullptr) x = _mm512_add_ps(x, _mm512_loadu_ps(g->residual + at));
      _mm512_storeu_ps(g->output + at, x);
    }
  }
}

void avx512_quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                         int8_t* values, float* scale, int32_t* sum) {
  __m512 largest_lanes = _mm512_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    largest_lanes = _mm512_max_ps(largest_lanes, abs_product(row, multipliers, i, tail_mask(length - i)));
  }
  const float largest = _mm512_reduce_max_ps(largest_lanes);
  const bool zero = largest < kQuantiseMin;
  const __m512 inverse = _mm512_set1_ps(zero ? 0.0F : 127.0F / largest);
  __m512i total = _mm512_setzero_si512();
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    const __m512 x =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row + i), _mm512_maskz_loadu_ps(mask, multipliers + i));
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
    total = _mm512_add_epi32(total, q);
    _mm_mask_storeu_epi8(values + i, mask, _mm512_cvtsepi32_epi8(q));
  }
  for (size_t i = length; i < padded_length; ++i) values[i] = 0;
  *scale = zero ? 0.0F : largest / 127.0F;
  *sum = _mm512_reduce_add_epi32(total);
}

void avx512_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                       float* out) {
  __m512 sums = _mm512_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(tail_mask(length - i), row + i));
  }
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sums) / static_cast<float>(length));
  __m512 squares = _mm512_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    const __m512 x = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, row + i), mean);
    squares = _mm512_fmadd_ps(x, x, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / static_cast<float>(length);
  const __m512 inverse = _mm512_set1_ps(1.0F / __builtin_sqrtf(variance + epsilon));
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row + i), mean), inverse);
    const __m512 y =
        _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(mask, gamma + i), _mm512_maskz_loadu_ps(mask, beta + i));
    _mm512_mask_storeu_ps(out + i, mask, y);
  }
}

void avx512_softmax(float* row, size_t length) {
  __m512 largest_lanes = _mm512_set1_ps(row[0]);
  for (size_t i = 0; i < length; i += kLanes) {
    largest_lanes = _mm512_mask_max_ps(largest_lanes, tail_mask(length - i), largest_lanes,
                                       _mm512_maskz_loadu_ps(tail_mask(length - i), row + i));
  }
  const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(largest_lanes));
  __m512 sums = _mm512_setzero_ps();
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    const __m512 e = avx512_exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, row + i), largest));
    sums = _mm512_mask_add_ps(sums, mask, sums, e);
    _mm512_mask_storeu_ps(row + i, mask, e);
  }
  const __m512 inverse = _mm512_set1_ps(1.0F / _mm512_reduce_add_ps(sums));
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    _mm512_mask_storeu_ps(row + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row + i), inverse));
  }
}

void avx512_dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out) {
  const __m512 scales = _mm512_set1_ps(scale);
  for (size_t i = 0; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    const __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, row + i)));
    _mm512_mask_storeu_ps(out + i, mask, _mm512_fmadd_ps(scales, x, _mm512_maskz_loadu_ps(mask, add + i)));
  }
}

float avx512_dot_f32(const float* a, const float* b, size_t length) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * kLanes <= length; i += 4 * kLanes) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
    s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32), s2);
    s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48), s3);
  }
  for (; i < length; i += kLanes) {
    const __mmask16 mask = tail_mask(length - i);
    s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i), s0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

int32_t avx512_dot_i8(const int8_t* a, const int8_t* b, size_t length) {
  // (a + 128) as unsigned bytes times b, less 128 times the sum of b.
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i products = _mm512_setzero_si512(), sums = _mm512_setzero_si512();
  for (size_t i = 0; i < length; i += 64) {
    const size_t left = length - i;
    const __mmask64 mask = left >= 64 ? ~0ULL : (1ULL << left) - 1ULL;
    const __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, a + i), flip);
    const __m512i y = _mm512_maskz_loadu_epi8(mask, b + i);
    products = _mm512_dpbusd_epi32(products, x, y);
    sums = _mm512_dpbusd_epi32(sums, ones, y);
  }
  return _mm512_reduce_add_epi32(_mm512_sub_epi32(products, _mm512_slli_epi32(sums, 7)));
}

}  // namespace enhanced_gptcache::simd
