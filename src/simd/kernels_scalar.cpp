// The reference kernels: plain loops in the order of the definitions. They also serve processors
// without a table of their own.

#include "simd/kernels_scalar.h"

#include <math.h>

namespace enhanced_gptcache::simd {
namespace {

float exp_approx(float x) {
  x = fminf(fmaxf(x, -kExpLimit), kExpLimit);
  const float n = nearbyintf(x * kLog2E);
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = kExp6;
  p = p * r + kExp5;
  p = p * r + kExp4;
  p = p * r + kExp3;
  p = p * r + kExp2;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  return ldexpf(p, static_cast<int>(n));
}

float gelu(float x) {
  const float u = fminf(fmaxf(x, -kGeluLimit), kGeluLimit);
  const float t = u * u;
  float p = kGelu7;
  p = p * t + kGelu6;
  p = p * t + kGelu5;
  p = p * t + kGelu4;
  p = p * t + kGelu3;
  p = p * t + kGelu2;
  p = p * t + kGelu1;
  p = p * t + kGelu0;
  return x * (u * p + 0.5F);
}

float gelu_tanh(float x) {
  const float inner = kGeluTanhLinear * (x + kGeluTanhCubic * x * x * x);
  return x / (1.0F + exp_approx(-inner));
}

float activate(GemmActivation activation, float x) {
  if (activation == GemmActivation::kGelu) return gelu(x);
  if (activation == GemmActivation::kGeluTanh) return gelu_tanh(x);
  return x;
}

// The sums of one row against one panel.
void row_panel(const int8_t* input, const uint8_t* panel, size_t depth, int32_t* sums) {
  for (size_t c = 0; c < kPanelColumns; ++c) sums[c] = 0;
  for (size_t k = 0; k < depth; k += kDepthStep) {
    const uint8_t* block = panel + k * kPanelColumns;
    for (size_t c = 0; c < kPanelColumns; ++c) {
      int32_t sum = 0;
      for (size_t i = 0; i < kDepthStep; ++i) {
        sum += static_cast<int32_t>(input[k + i]) * (static_cast<int32_t>(block[c * kDepthStep + i]) - 128);
      }
      sums[c] += sum;
    }
  }
}

void gemm_i8(const GemmI8* g) {
  int32_t sums[kPanelColumns];
  for (size_t column = 0; column < g->columns; column += kPanelColumns) {
    const uint8_t* panel = g->weights + column * g->depth;
    for (size_t r = 0; r < g->rows; ++r) {
      row_panel(g->inputs + r * g->input_stride, panel, g->depth, sums);
      const size_t at = r * g->output_stride + column;
      for (size_t c = 0; c < kPanelColumns; ++c) {
        if (g->accumulators != nullptr) {
          g->accumulators[at + c] = sums[c];
          continue;
        }
        const float scale = g->input_scales[r] * g->weight_scales[column + c];
        float x = static_cast<float>(sums[c]) * scale + g->biases[column + c];
        x = activate(g->activation, x);
        if (g->residual != nullptr) x += g->residual[at + c];
        g->output[at + c] = x;
      }
    }
  }
}

void quantise_row(const float* row, const float* multipliers, size_t length, size_t padded_length,
                  int8_t* values, float* scale, int32_t* sum) {
  float largest = 0;
  for (size_t i = 0; i < length; ++i) largest = fmaxf(largest, fabsf(row[i] * multipliers[i]));
  const bool zero = largest < kQuantiseMin;
  const float inverse = zero ? 0.0F : 127.0F / largest;
  int32_t total = 0;
  for (size_t i = 0; i < length; ++i) {
    const long value = lrintf(row[i] * multipliers[i] * inverse);
    values[i] = static_cast<int8_t>(value);
    total += static_cast<int32_t>(value);
  }
  for (size_t i = length; i < padded_length; ++i) values[i] = 0;
  *scale = zero ? 0.0F : largest / 127.0F;
  *sum = total;
}

}  // namespace

void scalar_layer_norm(const float* row, const float* gamma, const float* beta, float epsilon, size_t length,
                       float* out) {
  float sum = 0;
  for (size_t i = 0; i < length; ++i) sum += row[i];
  const float mean = sum / static_cast<float>(length);
  float squares = 0;
  for (size_t i = 0; i < length; ++i) squares += (row[i] - mean) * (row[i] - mean);
  const float inverse = 1.0F / sqrtf(squares / static_cast<float>(length) + epsilon);
  for (size_t i = 0; i < length; ++i) out[i] = (row[i] - mean) * inverse * gamma[i] + beta[i];
}

void scalar_softmax(float* row, size_t length) {
  float largest = row[0];
  for (size_t i = 1; i < length; ++i) largest = fmaxf(largest, row[i]);
  float sum = 0;
  for (size_t i = 0; i < length; ++i) {
    row[i] = exp_approx(row[i] - largest);
    sum += row[i];
  }
  const float inverse = 1.0F / sum;
  for (size_t i = 0; i < length; ++i) row[i] *= inverse;
}

namespace {

float dot_f32(const float* a, const float* b, size_t length) {
  // Eight running sums: less rounding error than one, and the compiler may use vectors for them.
  float sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= length; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < length; ++i) sums[0] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

int32_t dot_i8(const int8_t* a, const int8_t* b, size_t length) {
  int32_t sum = 0;
  for (size_t i = 0; i < length; ++i) sum += static_cast<int32_t>(a[i]) * static_cast<int32_t>(b[i]);
  return sum;
}

void attention_head(const Attention* a, size_t offset) {
  float* scores = a->scratch;
  for (size_t i = 0; i < a->tokens; ++i) {
    const float* query = a->queries + i * a->stride + offset;
    for (size_t j = 0; j < a->tokens; ++j) {
      scores[j] = dot_f32(query, a->keys + j * a->stride + offset, a->head_dim);
    }
    scalar_softmax(scores, a->tokens);
    float* out = a->output + i * a->output_stride + offset;
    for (size_t d = 0; d < a->head_dim; ++d) out[d] = 0;
    for (size_t j = 0; j < a->tokens; ++j) {
      const float* value = a->values + j * a->stride + offset;
      for (size_t d = 0; d < a->head_dim; ++d) out[d] += scores[j] * value[d];
    }
  }
}

void attention(const Attention* a) {
  for (size_t h = 0; h < a->heads; ++h) attention_head(a, h * a->head_dim);
}

void dequantise_add(const int8_t* row, float scale, const float* add, size_t length, float* out) {
  for (size_t i = 0; i < length; ++i) out[i] = scale * static_cast<float>(row[i]) + add[i];
}

}  // namespace

const KernelTable kScalarKernels = {
    "scalar",       0,         gemm_i8,        quantise_row, scalar_layer_norm,
    scalar_softmax, attention, dequantise_add, dot_f32,      dot_i8,
};

}  // namespace enhanced_gptcache::simd
