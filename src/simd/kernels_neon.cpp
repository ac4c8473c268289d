// The table for ARM with the dot-product extension (SDOT, ARMv8.2-A and later: every Graviton 2 and newer,
// Apple silicon, Ampere). SDOT multiplies signed by signed bytes, so the offset of 128 is taken off the
// weights as they are loaded (one EOR a register) and the sums are exact without a correction.
//
// Tiles of up to 5 rows x 16 columns = 20 accumulators with names, 4 weight registers and the offset; with 6
// rows g++ 12 loads all inputs first and spills (tests/arm_kernels.sh looks).

#include <arm_neon.h>

#include "simd/kernel_table.h"
#include "simd/kernels_scalar.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kLanes = 4;
constexpr size_t kTileRows = 5;
constexpr size_t kTileColumns = 16;
constexpr size_t kBlockRows = 20 * kTileRows;
constexpr size_t kBlockBytes = kPanelColumns * kDepthStep;

float32x4_t exponential(float32x4_t x) {
  x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-kExpLimit)), vdupq_n_f32(kExpLimit));
  const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, kLog2E));
  float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(kLn2High));
  r = vfmsq_f32(r, n, vdupq_n_f32(kLn2Low));
  float32x4_t p = vfmaq_f32(vdupq_n_f32(kExp5), vdupq_n_f32(kExp6), r);
  p = vfmaq_f32(vdupq_n_f32(kExp4), p, r);
  p = vfmaq_f32(vdupq_n_f32(kExp3), p, r);
  p = vfmaq_f32(vdupq_n_f32(kExp2), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0F), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0F), p, r);
  // |n| <= 126, so the exponent bits stay those of a normal number.
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

float32x4_t gelu(float32x4_t x) {
  const float32x4_t u = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-kGeluLimit)), vdupq_n_f32(kGeluLimit));
  const float32x4_t t = vmulq_f32(u, u);
  float32x4_t p = vfmaq_f32(vdupq_n_f32(kGelu6), vdupq_n_f32(kGelu7), t);
  p = vfmaq_f32(vdupq_n_f32(kGelu5), p, t);
  p = vfmaq_f32(vdupq_n_f32(kGelu4), p, t);
  p = vfmaq_f32(vdupq_n_f32(kGelu3), p, t);
  p = vfmaq_f32(vdupq_n_f32(kGelu2), p, t);
  p = vfmaq_f32(vdupq_n_f32(kGelu1), p, t);
  p = vfmaq_f32(vdupq_n_f32(kGelu0), p, t);
  return vmulq_f32(x, vfmaq_f32(vdupq_n_f32(0.5F), u, p));
}

float32x4_t gelu_tanh(float32x4_t x) {
  const float32x4_t cube = vmulq_f32(vmulq_f32(x, x), x);
  const float32x4_t sum = vfmaq_f32(x, cube, vdupq_n_f32(kGeluTanhCubic));
  const float32x4_t e = exponential(vmulq_n_f32(sum, -kGeluTanhLinear));
  return vdivq_f32(x, vaddq_f32(e, vdupq_n_f32(1.0F)));
}

float32x4_t activate(GemmActivation activation, float32x4_t x) {
  if (activation == GemmActivation::kGelu) return gelu(x);
  if (activation == GemmActivation::kGeluTanh) return gelu_tanh(x);
  return x;
}

#define ROWS_1(M) M(0)
#define ROWS_2(M) ROWS_1(M) M(1)
#define ROWS_3(M) ROWS_2(M) M(2)
#define ROWS_4(M) ROWS_3(M) M(3)
#define ROWS_5(M) ROWS_4(M) M(4)

#define DECLARE(r) \
  int32x4_t a##r = vdupq_n_s32(0), b##r = vdupq_n_s32(0), c##r = vdupq_n_s32(0), d##r = vdupq_n_s32(0);
#define STEP(r)                                                      \
  {                                                                  \
    int32_t four;                                                    \
    __builtin_memcpy(&four, inputs + (r)*stride, sizeof(four));      \
    const int8x16_t input = vreinterpretq_s8_s32(vdupq_n_s32(four)); \
    a##r = vdotq_s32(a##r, w0, input);                               \
    b##r = vdotq_s32(b##r, w1, input);                               \
    c##r = vdotq_s32(c##r, w2, input);                               \
    d##r = vdotq_s32(d##r, w3, input);                               \
  }
#define STORE(r)                                \
  vst1q_s32(sums + (r)*kTileColumns, a##r);     \
  vst1q_s32(sums + (r)*kTileColumns + 4, b##r); \
  vst1q_s32(sums + (r)*kTileColumns + 8, c##r); \
  vst1q_s32(sums + (r)*kTileColumns + 12, d##r);

#define TILE(n)                                                                               \
  void tile_##n(const int8_t* inputs, ptrdiff_t stride, const uint8_t* weights, size_t steps, \
                int32_t* sums) {                                                              \
    const uint8x16_t flip = vdupq_n_u8(0x80);                                                 \
    ROWS_##n(DECLARE) for (; steps != 0; --steps) {                                           \
      const int8x16_t w0 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(weights), flip));            \
      const int8x16_t w1 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(weights + 16), flip));       \
      const int8x16_t w2 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(weights + 32), flip));       \
      const int8x16_t w3 = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(weights + 48), flip));       \
      ROWS_##n(STEP) weights += kBlockBytes;                                                  \
      inputs += kDepthStep;                                                                   \
    }                                                                                         \
    ROWS_##n(STORE)                                                                           \
  }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)

using Tile = void (*)(const int8_t*, ptrdiff_t, const uint8_t*, size_t, int32_t*);
constexpr Tile kTiles[kTileRows + 1] = {nullptr, tile_1, tile_2, tile_3, tile_4, tile_5};

void finish_tile(const GemmI8* g, size_t row, size_t rows, size_t column, const int32_t* sums) {
  for (size_t part = 0; part < kTileColumns; part += kLanes) {
    const float32x4_t weight_scales = vld1q_f32(g->weight_scales + column + part);
    const float32x4_t biases = vld1q_f32(g->biases + column + part);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = (row + r) * g->output_stride + column + part;
      const int32x4_t sum = vld1q_s32(sums + r * kTileColumns + part);
      if (g->accumulators != nullptr) {
        vst1q_s32(g->accumulators + at, sum);
        continue;
      }
      const float32x4_t scale = vmulq_n_f32(weight_scales, g->input_scales[row + r]);
      float32x4_t x = vfmaq_f32(biases, vcvtq_f32_s32(sum), scale);
      x = activate(g->activation, x);
      if (g->residual != nullptr) x = vaddq_f32(x, vld1q_f32(g->residual + at));
      vst1q_f32(g->output + at, x);
    }
  }
}

// Rows [first, first + rows) against all panels, each in two halves of 16 columns.
void gemm_block(const GemmI8* g, size_t first, size_t rows) {
  int32_t sums[kTileRows * kTileColumns];
  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  const size_t steps = g->depth / kDepthStep;
  for (size_t column = 0; column < g->columns; column += kTileColumns) {
    const size_t half = column % kPanelColumns;
    const uint8_t* panel = g->weights + (column - half) * g->depth + half * kDepthStep;
    for (size_t t = 0; t < tiles; ++t) {
      const size_t begin = first + rows * t / tiles;
      const size_t height = first + rows * (t + 1) / tiles - begin;
      kTiles[height](g->inputs + begin * g->input_stride, static_cast<ptrdiff_t>(g->input_stride), panel,
                     steps, sums);
      finish_tile(g, begin, height, column, sums);
    }
  }
}

void gemm_i8(const GemmI8* g) {
  for (size_t first = 0; first < g->rows; first += kBlockRows) {
    const size_t left = g->rows - first;
    gemm_block(g, first, left < kBlockRows ? left : kBlockRows);
  }
}

void quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                  int8_t* values, float* scale, int32_t* sum) {
  const size_t whole = length / kLanes * kLanes;
  float32x4_t largest_lanes = vdupq_n_f32(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const float32x4_t x = vmulq_f32(vld1q_f32(row + i), vld1q_f32(multipliers + i));
    largest_lanes = vmaxq_f32(largest_lanes, vabsq_f32(x));
  }
  float largest = vmaxvq_f32(largest_lanes);
  for (size_t i = whole; i < length; ++i)
    largest = __builtin_fmaxf(largest, __builtin_fabsf(row[i] * multipliers[i]));
  const bool zero = largest < kQuantiseMin;
  const float inverse = zero ? 0.0F : 127.0F / largest;
  int32_t total = 0;
  for (size_t i = 0; i < whole; i += kLanes) {
    const float32x4_t x = vmulq_f32(vld1q_f32(row + i), vld1q_f32(multipliers + i));
    const int32x4_t q = vcvtnq_s32_f32(vmulq_n_f32(x, inverse));
    total += vaddvq_s32(q);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(vmovn_s32(q), vdup_n_s16(0)));
    vst1_lane_s32(reinterpret_cast<int32_t*>(values + i), vreinterpret_s32_s8(bytes), 0);
  }
  for (size_t i = whole; i < length; ++i) {
    const auto value = static_cast<int32_t>(__builtin_rintf(row[i] * multipliers[i] * inverse));
    values[i] = static_cast<int8_t>(value);
    total += value;
  }
  for (size_t i = length; i < padded_length; ++i) values[i] = 0;
  *scale = zero ? 0.0F : largest / 127.0F;
  *sum = total;
}

float dot_f32(const float* a, const float* b, size_t length) {
  float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * kLanes <= length; i += 4 * kLanes) {
    s0 = vfmaq_f32(s0, vld1q_f32(a + i), vld1q_f32(b + i));
    s1 = vfmaq_f32(s1, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
    s2 = vfmaq_f32(s2, vld1q_f32(a + i + 8), vld1q_f32(b + i + 8));
    s3 = vfmaq_f32(s3, vld1q_f32(a + i + 12), vld1q_f32(b + i + 12));
  }
  float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
  for (; i < length; ++i) sum += a[i] * b[i];
  return sum;
}

int32_t dot_i8(const int8_t* a, const int8_t* b, size_t length) {
  int32x4_t sum = vdupq_n_s32(0);
  size_t i = 0;
  for (; i + 16 <= length; i += 16) sum = vdotq_s32(sum, vld1q_s8(a + i), vld1q_s8(b + i));
  int32_t total = vaddvq_s32(sum);
  for (; i < length; ++i) total += static_cast<int32_t>(a[i]) * static_cast<int32_t>(b[i]);
  return total;
}

void dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out) {
  size_t i = 0;
  for (; i + 8 <= length; i += 8) {
    const int16x8_t words = vmovl_s8(vld1_s8(row + i));
    const float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
    const float32x4_t high = vcvtq_f32_s32(vmovl_s16(vget_high_s16(words)));
    vst1q_f32(out + i, vfmaq_n_f32(vld1q_f32(add + i), low, scale));
    vst1q_f32(out + i + 4, vfmaq_n_f32(vld1q_f32(add + i + 4), high, scale));
  }
  for (; i < length; ++i) out[i] = __builtin_fmaf(scale, static_cast<float>(row[i]), add[i]);
}

void softmax(float* row, size_t length) {
  const size_t whole = length / kLanes * kLanes;
  if (whole == 0) return scalar_softmax(row, length);
  float largest = row[0];
  for (size_t i = 0; i < length; ++i) largest = __builtin_fmaxf(largest, row[i]);
  float32x4_t sums = vdupq_n_f32(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const float32x4_t e = exponential(vsubq_f32(vld1q_f32(row + i), vdupq_n_f32(largest)));
    sums = vaddq_f32(sums, e);
    vst1q_f32(row + i, e);
  }
  float sum = vaddvq_f32(sums);
  for (size_t i = whole; i < length; ++i) {
    row[i] = vgetq_lane_f32(exponential(vdupq_n_f32(row[i] - largest)), 0);
    sum += row[i];
  }
  const float inverse = 1.0F / sum;
  for (size_t i = 0; i < length; ++i) row[i] *= inverse;
}

void attention_head(const Attention* a, size_t offset) {
  float* scores = a->scratch;
  for (size_t i = 0; i < a->tokens; ++i) {
    const float* query = a->queries + i * a->stride + offset;
    for (size_t j = 0; j < a->tokens; ++j)
      scores[j] = dot_f32(query, a->keys + j * a->stride + offset, a->head_dim);
    softmax(scores, a->tokens);
    float* out = a->output + i * a->output_stride + offset;
    size_t d = 0;
    for (; d + kLanes <= a->head_dim; d += kLanes) {
      float32x4_t sum = vdupq_n_f32(0);
      for (size_t j = 0; j < a->tokens; ++j)
        sum = vfmaq_n_f32(sum, vld1q_f32(a->values + j * a->stride + offset + d), scores[j]);
      vst1q_f32(out + d, sum);
    }
    for (; d < a->head_dim; ++d) {
      float sum = 0;
      for (size_t j = 0; j < a->tokens; ++j) sum += scores[j] * a->values[j * a->stride + offset + d];
      out[d] = sum;
    }
  }
}

void attention(const Attention* a) {
  for (size_t h = 0; h < a->heads; ++h) attention_head(a, h * a->head_dim);
}

}  // namespace

const KernelTable kNeonKernels = {
    "neon",  kCpuDotProduct, gemm_i8,        quantise_row, scalar_layer_norm,
    softmax, attention,      dequantise_add, dot_f32,      dot_i8,
};

}  // namespace enhanced_gptcache::simd
