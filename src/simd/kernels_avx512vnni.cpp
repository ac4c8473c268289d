// Int8 matrix product for AVX-512 VNNI. vpdpbusd multiplies unsigned by signed bytes, so the weights
// carry an offset of 128 and each sum is corrected by 128 times the sum of its input row.
//
// Weights come from the third-level cache and are read once per block of rows: for each panel of 32
// columns, all rows, in tiles of up to 14 rows x 32 columns = 28 accumulators, 2 weight registers and
// 1 input. Arrays of accumulators make g++ 12 spill the tile to the stack (measured: a quarter of the
// speed), so each has a name, written by macro; `objdump` shows no stack access in the loops.

#include "simd/kernels_avx512vnni.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kTileRows = 14;
// Rows per pass over the weights: their int8 inputs (at most 1536 bytes each) stay in second-level cache.
constexpr size_t kBlockRows = 8 * kTileRows;
constexpr size_t kBlockBytes = kPanelColumns * kDepthStep;

#define ROWS_1(M) M(0, p0, 0)
#define ROWS_2(M) ROWS_1(M) M(1, p0, stride)
#define ROWS_3(M) ROWS_2(M) M(2, p0, 2 * stride)
#define ROWS_4(M) ROWS_3(M) M(3, p0, stride3)
#define ROWS_5(M) ROWS_4(M) M(4, p0, 4 * stride)
#define ROWS_6(M) ROWS_5(M) M(5, p5, 0)
#define ROWS_7(M) ROWS_6(M) M(6, p5, stride)
#define ROWS_8(M) ROWS_7(M) M(7, p5, 2 * stride)
#define ROWS_9(M) ROWS_8(M) M(8, p5, stride3)
#define ROWS_10(M) ROWS_9(M) M(9, p5, 4 * stride)
#define ROWS_11(M) ROWS_10(M) M(10, p10, 0)
#define ROWS_12(M) ROWS_11(M) M(11, p10, stride)
#define ROWS_13(M) ROWS_12(M) M(12, p10, 2 * stride)
#define ROWS_14(M) ROWS_13(M) M(13, p10, stride3)

#define DECLARE(r, base, offset) __m512i low##r = _mm512_setzero_si512(), high##r = _mm512_setzero_si512();
#define STEP(r, base, offset)                                    \
  {                                                              \
    int32_t four;                                                \
    __builtin_memcpy(&four, base + (offset), sizeof(four));      \
    const __m512i input = _mm512_set1_epi32(four);               \
    low##r = _mm512_dpbusd_epi32(low##r, weights_low, input);    \
    high##r = _mm512_dpbusd_epi32(high##r, weights_high, input); \
  }
#define STORE(r, base, offset)                          \
  _mm512_store_si512(sums + (r)*kPanelColumns, low##r); \
  _mm512_store_si512(sums + (r)*kPanelColumns + 16, high##r);

// Three base pointers and index registers reach 14 rows without a pointer each.
#define TILE(n)                                                                                            \
  void tile_##n(const int8_t* p0, ptrdiff_t stride, const uint8_t* weights, size_t steps, int32_t* sums) { \
    [[maybe_unused]] const ptrdiff_t stride3 = 3 * stride;                                                 \
    [[maybe_unused]] const int8_t* p5 = p0 + 5 * stride;                                                   \
    [[maybe_unused]] const int8_t* p10 = p5 + 5 * stride;                                                  \
    ROWS_##n(DECLARE) for (; steps != 0; --steps) {                                                        \
      const __m512i weights_low = _mm512_load_si512(weights);                                              \
      const __m512i weights_high = _mm512_load_si512(weights + 64);                                        \
      ROWS_##n(STEP) weights += kBlockBytes;                                                               \
      p0 += kDepthStep;                                                                                    \
      p5 += kDepthStep;                                                                                    \
      p10 += kDepthStep;                                                                                   \
    }                                                                                                      \
    ROWS_##n(STORE)                                                                                        \
  }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

    using Tile = void(*)(const int8_t*, ptrdiff_t, const uint8_t*, size_t, int32_t*);
constexpr Tile kTiles[kTileRows + 1] = {nullptr, tile_1, tile_2,  tile_3,  tile_4,  tile_5,  tile_6, tile_7,
                                        tile_8,  tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};

// Rows [first, first + rows) against all panels.
void gemm_block(const GemmI8* g, size_t first, size_t rows) {
  alignas(64) int32_t sums[kTileRows * kPanelColumns];
  // Tiles of nearly equal height: 15 rows are 8 + 7, not 14 + 1.
  const size_t tiles = (rows + kTileRows - 1) / kTileRows;
  const size_t steps = g->depth / kDepthStep;
  for (size_t column = 0; column < g->columns; column += kPanelColumns) {
    const uint8_t* panel = g->weights + column * g->depth;
    for (size_t t = 0; t < tiles; ++t) {
      const size_t begin = first + rows * t / tiles;
      const size_t height = first + rows * (t + 1) / tiles - begin;
      kTiles[height](g->inputs + begin * g->input_stride, static_cast<ptrdiff_t>(g->input_stride), panel,
                     steps, sums);
      avx512_finish_tile(g, begin, height, column, sums);
    }
  }
}

void gemm_i8(const GemmI8* g) {
  for (size_t first = 0; first < g->rows; first += kBlockRows) {
    const size_t left = g->rows - first;
    gemm_block(g, first, left < kBlockRows ? left : kBlockRows);
  }
}

}  // namespace

const KernelTable kAvx512VnniKernels = {
    "avx512vnni",      kCpuAvx512f | kCpuAvx512bw | kCpuAvx512dq | kCpuAvx512vl | kCpuAvx512vnni | kCpuFma,
    gemm_i8,           avx512_quantise_row,
    avx512_layer_norm, avx512_softmax,
    avx512_attention,  avx512_dequantise_add,
    avx512_dot_f32,    avx512_dot_i8,
};

}  // namespace enhanced_gptcache::simd
