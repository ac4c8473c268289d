// Int8 matrix product for AVX2. vpmaddubsw adds two products in 16 bits and saturates, so it is fed
// |weight| <= 127 as the unsigned and the input with the weight's sign, |input| <= 127, as the signed
// side: two products reach at most 2 * 127 * 127 = 32258 and the sums are exact. The price is one
// vpsignb a product; widening both sides to 16 bits costs the same and needs more registers.
//
// Tiles of up to 4 rows x 16 columns = 8 accumulators with names (arrays of them spill in g++ 12).

#include "simd/kernels_avx2.h"

namespace enhanced_gptcache::simd {
namespace {

constexpr size_t kTileRows = 4;
constexpr size_t kTileColumns = 16;
constexpr size_t kBlockRows = 28 * kTileRows;
constexpr size_t kBlockBytes = kPanelColumns * kDepthStep;

#define ROWS_1(M) M(0)
#define ROWS_2(M) ROWS_1(M) M(1)
#define ROWS_3(M) ROWS_2(M) M(2)
#define ROWS_4(M) ROWS_3(M) M(3)

#define DECLARE(r) __m256i low##r = _mm256_setzero_si256(), high##r = _mm256_setzero_si256();
#define MULTIPLY_ADD(sum, weights, magnitudes) \
  sum = _mm256_add_epi32(                      \
      sum, _mm256_madd_epi16(_mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(input, weights)), ones));
#define STEP(r)                                                 \
  {                                                             \
    int32_t four;                                               \
    __builtin_memcpy(&four, inputs + (r)*stride, sizeof(four)); \
    const __m256i input = _mm256_set1_epi32(four);              \
    MULTIPLY_ADD(low##r, weights_low, magnitudes_low)           \
    MULTIPLY_ADD(high##r, weights_high, magnitudes_high)        \
  }
#define STORE(r)                                                                   \
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums + (r)*kTileColumns), low##r); \
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums + (r)*kTileColumns + 8), high##r);

#define TILE(n)                                                                               \
  void tile_##n(const int8_t* inputs, ptrdiff_t stride, const uint8_t* weights, size_t steps, \
                int32_t* sums) {                                                              \
    const __m256i ones = _mm256_set1_epi16(1);                                                \
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));                           \
    ROWS_##n(DECLARE) for (; steps != 0; --steps) {                                           \
      const __m256i* block = reinterpret_cast<const __m256i*>(weights);                       \
      const __m256i weights_low = _mm256_xor_si256(_mm256_load_si256(block), flip);           \
      const __m256i weights_high = _mm256_xor_si256(_mm256_load_si256(block + 1), flip);      \
      const __m256i magnitudes_low = _mm256_abs_epi8(weights_low);                            \
      const __m256i magnitudes_high = _mm256_abs_epi8(weights_high);                          \
      ROWS_##n(STEP) weights += kBlockBytes;                                                  \
      inputs += kDepthStep;                                                                   \
    }                                                                                         \
    ROWS_##n(STORE)                                                                           \
  }

TILE(1)
TILE(2)
TILE(3)
TILE(4)

using Tile = void (*)(const int8_t*, ptrdiff_t, const uint8_t*, size_t, int32_t*);
constexpr Tile kTiles[kTileRows + 1] = {nullptr, tile_1, tile_2, tile_3, tile_4};

// Rows [first, first + rows) against all panels, each in two halves of 16 columns.
void gemm_block(const GemmI8* g, size_t first, size_t rows) {
  alignas(32) int32_t sums[kTileRows * kTileColumns];
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
      avx2_finish_tile(g, begin, height, column, sums);
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

const KernelTable kAvx2Kernels = {
    "avx2",         kCpuAvx2 | kCpuFma,  gemm_i8,      avx2_quantise_row, avx2_layer_norm, avx2_softmax,
    avx2_attention, avx2_dequantise_add, avx2_dot_f32, avx2_dot_i8,
};

}  // namespace enhanced_gptcache::simd
