#pragma once
// The inner loops of the encoder and of vector search as one table of function pointers per
// instruction set. kernels_scalar.cpp is the reference; every other table gives the same int32
// accumulators bit for bit and floats within a small tolerance.
//
// This header and intrinsics are all that the kernels_*.cpp files may include: they are compiled
// with higher machine flags, and an inline function of the library compiled there could be the copy
// the linker keeps for everyone. So: plain structs and constants only, no inline code, no templates.

#include <stddef.h>
#include <stdint.h>

namespace enhanced_gptcache::simd {

/// Processor features a table needs, as bits (operating system support of the registers included).
enum CpuFeature : uint32_t {
  kCpuAvx2 = 1U << 0,
  kCpuFma = 1U << 1,
  kCpuAvx512f = 1U << 2,
  kCpuAvx512bw = 1U << 3,
  kCpuAvx512dq = 1U << 4,
  kCpuAvx512vl = 1U << 5,
  kCpuAvx512vnni = 1U << 6,
  kCpuDotProduct = 1U << 7,  ///< ARM: SDOT (asimddp)
};

/// Packed int8 weights of a matrix [columns][depth] (an output is one column): panels of
/// kPanelColumns columns; in a panel, for each kDepthStep consecutive depths, the columns one after
/// the other with their kDepthStep bytes. A byte is weight + 128, the weight in [-127, 127]. Both
/// dimensions are padded with weight 0 (byte 128). No kernel has a layout of its own.
constexpr size_t kPanelColumns = 32;
constexpr size_t kDepthStep = 4;
/// Lengths of int8 rows are padded to this, zero filled.
constexpr size_t kRowPadding = 64;

enum class GemmActivation : uint32_t { kNone, kGelu, kGeluTanh };

/// output[r][c] = act(input_scales[r] * weight_scales[c] * sum_k(input[r][k] * weight[c][k]) + biases[c])
/// + residual[r][c]. All strides count elements. Pointers need no alignment but `weights` (64 bytes).
struct GemmI8 {
  const int8_t* inputs;        ///< rows of `depth` values in [-127, 127]
  size_t input_stride;         ///< >= depth
  const float* input_scales;   ///< one a row
  const int32_t* input_sums;   ///< one a row: the sum of its values
  const uint8_t* weights;      ///< packed, see above
  const float* weight_scales;  ///< one a column, padding included
  const float* biases;         ///< one a column, padding included
  size_t rows;
  size_t depth;    ///< a multiple of kDepthStep
  size_t columns;  ///< a multiple of kPanelColumns
  GemmActivation activation;
  const float* residual;  ///< null: none; else rows of output_stride, may be `output` itself
  float* output;
  size_t output_stride;   ///< >= columns
  int32_t* accumulators;  ///< tests only: not null gets the plain int32 sums instead of `output`
};

/// Multi-head self-attention of one text: out = softmax(q k^T) v per head; the caller has folded
/// 1/sqrt(head_dim) into q. The rows of q, k, v have `stride` floats, head h starts at h * head_dim.
struct Attention {
  const float* queries;
  const float* keys;
  const float* values;
  size_t stride;
  size_t tokens;
  size_t heads;
  size_t head_dim;
  float* output;
  size_t output_stride;
  float* scratch;  ///< attention_scratch_floats(tokens, head_dim) floats, 64-byte aligned
};

/// Queries that a kernel may handle at once; the scratch of Attention holds, for each, the query, a score
/// per key and the result.
constexpr size_t kAttentionLanes = 16;

struct KernelTable {
  const char* name;
  uint32_t required_features;

  void (*gemm_i8)(const GemmI8* gemm);
  /// values[i] = lrint(row[i] * multipliers[i] * 127 / largest), [length, padded_length) = 0.
  /// Gives the scale (largest / 127; 0 for a row of zeros) and the sum of the int8 values.
  void (*quantise_row)(const float* row, const float* multipliers, size_t length, size_t padded_length,
                       int8_t* values, float* scale, int32_t* sum);
  /// out = (x - mean) / sqrt(variance + epsilon) * gamma + beta; `out` may be `row`.
  void (*layer_norm)(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                     float* out);
  /// In place; length >= 1.
  void (*softmax)(float* row, size_t length);
  void (*attention)(const Attention* attention);
  /// out[i] = scale * row[i] + add[i].
  void (*dequantise_add)(const int8_t* row, float scale, const float* add, size_t length, float* out);

  /// Sum of products; 0 for length 0.
  float (*dot_f32)(const float* a, const float* b, size_t length);
  /// The same over all int8 values, -128 included; exact while length <= kDotI8LengthMax.
  int32_t (*dot_i8)(const int8_t* a, const int8_t* b, size_t length);
};

constexpr size_t kDotI8LengthMax = 32768;

// x * Phi(x) with Phi(x) = 1/2 + u P(u^2), u = x clamped to +-kGeluLimit. P is the minimax fit of the
// weighted error u (Phi^ - Phi) under the constraint Phi(limit) = 1 (linear program over 3,000 points,
// this project); largest error of x Phi(x) in float: 8.6e-5, a hundredth of an int8 step of its row.
constexpr float kGeluLimit = 4.2F;
constexpr float kGelu0 = 0.3984659016132355F;
constexpr float kGelu1 = -0.06552824378013611F;
constexpr float kGelu2 = 0.009298245422542095F;
constexpr float kGelu3 = -0.000950660731177777F;
constexpr float kGelu4 = 6.689106521662325e-05F;
constexpr float kGelu5 = -3.03795582112798e-06F;
constexpr float kGelu6 = 7.941424939872377e-08F;
constexpr float kGelu7 = -9.017656066312441e-10F;
// gelu_tanh(x) = x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel, arXiv:1606.08415).
constexpr float kGeluTanhLinear = 1.5957691216057308F;
constexpr float kGeluTanhCubic = 0.044715F;

// exp(x) = 2^n exp(r), n = rint(x / ln 2), r = x - n ln 2 in two parts (Cody and Waite), |r| <= ln 2 / 2;
// exp(r) by Taylor's terms to r^6: relative error below 2e-7. x is clamped to +-kExpLimit.
constexpr float kExpLimit = 87.0F;
constexpr float kLog2E = 1.4426950408889634F;
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;
constexpr float kExp2 = 0.5F;
constexpr float kExp3 = 1.0F / 6;
constexpr float kExp4 = 1.0F / 24;
constexpr float kExp5 = 1.0F / 120;
constexpr float kExp6 = 1.0F / 720;

/// A row whose largest magnitude is below this is quantised as zeros (127 / it would overflow).
constexpr float kQuantiseMin = 1e-30F;

extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512VnniKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonKernels;
#endif

}  // namespace enhanced_gptcache::simd
