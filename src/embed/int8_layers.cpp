#include "embed/int8_layers.h"

#include <algorithm>

#include "embed/aligned_buffer.h"
#include "simd/pack.h"

namespace enhanced_gptcache::embed {

Int8Workspace::Int8Workspace(const ModelConfig& config, size_t row_count, size_t text_tokens_max) {
  const size_t head_dim = config.hidden_size / config.heads;
  rows = row_count;
  hidden_stride = simd::padded_columns(config.hidden_size);
  qkv_stride = simd::padded_columns(size_t{3} * config.hidden_size);
  wide_stride = simd::padded_columns(config.intermediate_size);
  const size_t depth_max = simd::padded_depth(std::max(config.hidden_size, config.intermediate_size));
  const size_t scratch_floats = simd::attention_scratch_floats(text_tokens_max, head_dim);

  const auto place = [&](std::byte* base) {
    size_t offset = 0;
    const auto take = [&]<typename T>(T*& array, size_t count) {
      if (base != nullptr) array = reinterpret_cast<T*>(base + offset);
      offset += simd::round_up(count * sizeof(T), AlignedBuffer::kAlignment);
    };
    take(hidden, rows * hidden_stride);
    take(qkv, rows * qkv_stride);
    take(context, rows * hidden_stride);
    take(wide, rows * wide_stride);
    take(scratch, scratch_floats);
    take(quantised, rows * depth_max);
    take(scales, rows);
    take(sums, rows);
    return offset;
  };
  static thread_local AlignedBuffer buffer;
  place(buffer.reserve(place(nullptr)));
  std::fill_n(hidden, rows * hidden_stride, 0.0F);
}

void Int8LayerRunner::normalise_rows(const Int8Workspace& work, const float* gamma, const float* beta) const {
  for (size_t r = 0; r < work.rows; ++r) {
    float* row = work.hidden + r * work.hidden_stride;
    kernels_.layer_norm(row, gamma, beta, config_.layer_norm_eps, config_.hidden_size, row);
  }
}

void Int8LayerRunner::run_layer(const Int8Layer& layer, std::span<const size_t> ends,
                                const Int8Workspace& work) const {
  const Int8Linear& qkv = layer.linears[kQkv];
  multiply(
      {qkv, {0, qkv.columns}, work.hidden, work.hidden_stride, nullptr, work.qkv, work.qkv_stride, false},
      work);
  attend(ends, work);
  finish_layer(layer, work);
}

void Int8LayerRunner::run_layer_first_rows(const Int8Layer& layer, std::span<const size_t> ends,
                                           const Int8Workspace& work) const {
  const Int8Linear& qkv = layer.linears[kQkv];
  // Keys and values of all rows, from the panel on where the keys begin.
  const size_t begin = config_.hidden_size / simd::kPanelColumns * simd::kPanelColumns;
  multiply({qkv,
            {begin, qkv.columns},
            work.hidden,
            work.hidden_stride,
            nullptr,
            work.qkv + begin,
            work.qkv_stride,
            false},
           work);
  Int8Workspace first = work;
  first.rows = ends.size();
  size_t row = 0;
  for (size_t t = 0; t < ends.size(); ++t) {
    std::copy_n(work.hidden + row * work.hidden_stride, work.hidden_stride,
                work.hidden + t * work.hidden_stride);
    row = ends[t];
  }
  // Queries go where the kernel of a whole layer leaves its result, and turn into it head by head.
  multiply({qkv,
            {0, work.hidden_stride},
            work.hidden,
            work.hidden_stride,
            nullptr,
            work.context,
            work.hidden_stride,
            false},
           first);
  attend_first_rows(ends, work);
  finish_layer(layer, first);
}

// From the result of attention to the end of the layer.
void Int8LayerRunner::finish_layer(const Int8Layer& layer, const Int8Workspace& work) const {
  const auto& [qkv, attention_out, intermediate, output] = layer.linears;
  multiply({attention_out,
            {0, attention_out.columns},
            work.context,
            work.hidden_stride,
            work.hidden,
            work.hidden,
            work.hidden_stride,
            false},
           work);
  normalise_rows(work, layer.attention_gamma, layer.attention_beta);
  multiply({intermediate,
            {0, intermediate.columns},
            work.hidden,
            work.hidden_stride,
            nullptr,
            work.wide,
            work.wide_stride,
            true},
           work);
  multiply({output,
            {0, output.columns},
            work.wide,
            work.wide_stride,
            work.hidden,
            work.hidden,
            work.hidden_stride,
            false},
           work);
  normalise_rows(work, layer.output_gamma, layer.output_beta);
}

void Int8LayerRunner::attend(std::span<const size_t> ends, const Int8Workspace& work) const {
  size_t begin = 0;
  for (const size_t end : ends) {
    simd::Attention attention = {};
    attention.queries = work.qkv + begin * work.qkv_stride;
    attention.keys = attention.queries + config_.hidden_size;
    attention.values = attention.keys + config_.hidden_size;
    attention.stride = work.qkv_stride;
    attention.tokens = end - begin;
    attention.heads = config_.heads;
    attention.head_dim = config_.hidden_size / config_.heads;
    attention.output = work.context + begin * work.hidden_stride;
    attention.output_stride = work.hidden_stride;
    attention.scratch = work.scratch;
    kernels_.attention(&attention);
    begin = end;
  }
}

// One query a text: the attention kernel would spend 16 lanes on it.
void Int8LayerRunner::attend_first_rows(std::span<const size_t> ends, const Int8Workspace& work) const {
  const size_t hidden = config_.hidden_size, head_dim = hidden / config_.heads;
  size_t begin = 0;
  for (size_t t = 0; t < ends.size(); ++t) {
    const size_t tokens = ends[t] - begin;
    for (size_t at = 0; at < hidden; at += head_dim) {
      float* const query = work.context + t * work.hidden_stride + at;
      const float* const keys = work.qkv + begin * work.qkv_stride + hidden + at;
      float* const weights = work.scratch;
      for (size_t j = 0; j < tokens; ++j) {
        weights[j] = kernels_.dot_f32(query, keys + j * work.qkv_stride, head_dim);
      }
      kernels_.softmax(weights, tokens);
      std::fill_n(query, head_dim, 0.0F);
      for (size_t j = 0; j < tokens; ++j) {
        const float* const value = keys + j * work.qkv_stride + hidden;
        for (size_t d = 0; d < head_dim; ++d) query[d] += weights[j] * value[d];
      }
    }
    begin = ends[t];
  }
}

void Int8LayerRunner::multiply(const Product& product, const Int8Workspace& work) const {
  const Int8Linear& linear = product.linear;
  for (size_t r = 0; r < work.rows; ++r) {
    kernels_.quantise_row(product.inputs + r * product.input_stride, linear.multipliers, linear.inputs,
                          linear.depth, work.quantised + r * linear.depth, work.scales + r, work.sums + r);
  }
  simd::GemmI8 gemm = {};
  gemm.inputs = work.quantised;
  gemm.input_stride = gemm.depth = linear.depth;
  gemm.input_scales = work.scales;
  gemm.input_sums = work.sums;
  gemm.weights = linear.weights + product.columns.begin * linear.depth;
  gemm.weight_scales = linear.scales + product.columns.begin;
  gemm.biases = linear.biases + product.columns.begin;
  gemm.rows = work.rows;
  gemm.columns = product.columns.end - product.columns.begin;
  if (product.activated) {
    const bool tanh = config_.activation == Activation::kGeluTanh;
    gemm.activation = tanh ? simd::GemmActivation::kGeluTanh : simd::GemmActivation::kGelu;
  }
  gemm.residual = product.residual;
  gemm.output = product.outputs;
  gemm.output_stride = product.output_stride;
  kernels_.gemm_i8(&gemm);
}

}  // namespace enhanced_gptcache::embed
