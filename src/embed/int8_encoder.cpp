#include "embed/int8_encoder.h"

#include <algorithm>

#include "embed/pooling.h"
#include "simd/pack.h"

namespace enhanced_gptcache::embed {

// Arrays of one pass inside the thread's buffer. Row strides are padded column counts, because the
// products write whole panels; padding columns come out as 0 (their scales and biases are 0).
struct Int8Encoder::Workspace {
  size_t rows = 0;
  size_t hidden_stride = 0;
  size_t qkv_stride = 0;
  size_t wide_stride = 0;
  float* hidden = nullptr;  ///< the residual stream
  float* qkv = nullptr;
  float* context = nullptr;  ///< what attention gives
  float* wide = nullptr;     ///< between the two feed-forward products
  float* scratch = nullptr;  ///< of the attention kernel
  int8_t* quantised = nullptr;
  float* scales = nullptr;
  int32_t* sums = nullptr;

  Workspace(const ModelConfig& config, size_t row_count, size_t text_tokens_max) {
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
  }
};

Int8Encoder::Int8Encoder(const ModelConfig& config, Int8Block block, const simd::KernelTable& kernels)
    : config_(config),
      block_(std::move(block)),
      model_(view_int8_model(config_, block_.bytes())),
      kernels_(kernels) {}

void Int8Encoder::encode(const TokenBatch& batch, float* vectors) const {
  size_t first_text = 0, first_id = 0;
  static thread_local std::vector<size_t> ends;
  while (first_text < batch.ends.size()) {
    ends.clear();
    size_t text = first_text;
    do {
      ends.push_back(batch.ends[text++] - first_id);
    } while (text < batch.ends.size() && batch.ends[text] - first_id <= kInt8PassRows);
    encode_pass({batch.ids.subspan(first_id, ends.back()), ends}, vectors);
    vectors += ends.size() * config_.hidden_size;
    first_id += ends.back();
    first_text = text;
  }
}

void Int8Encoder::encode_pass(const TokenBatch& pass, float* vectors) const {
  size_t tokens_max = 0, begin = 0;
  for (const size_t end : pass.ends) tokens_max = std::max(tokens_max, end - std::exchange(begin, end));
  const Workspace work(config_, pass.ids.size(), tokens_max);
  embed_tokens(pass, work);
  for (const Int8Layer& layer : model_.layers) run_layer(layer, pass, work);
  begin = 0;
  for (const size_t end : pass.ends) {
    pool_rows(config_.pooling, work.hidden + begin * work.hidden_stride, work.hidden_stride, end - begin,
              config_.hidden_size, vectors);
    normalise(vectors, config_.hidden_size);
    vectors += config_.hidden_size;
    begin = end;
  }
}

void Int8Encoder::embed_tokens(const TokenBatch& pass, const Workspace& work) const {
  const size_t hidden = config_.hidden_size;
  std::fill_n(work.hidden, work.rows * work.hidden_stride, 0.0F);
  size_t row = 0;
  for (const size_t end : pass.ends) {
    for (size_t position = 0; row < end; ++row, ++position) {
      const auto id = static_cast<size_t>(pass.ids[row]);
      kernels_.dequantise_add(model_.words + id * hidden, model_.word_scales[id],
                              model_.positions + position * hidden, hidden,
                              work.hidden + row * work.hidden_stride);
    }
  }
  normalise_rows(work, model_.embedding_gamma, model_.embedding_beta);
}

void Int8Encoder::run_layer(const Int8Layer& layer, const TokenBatch& pass, const Workspace& work) const {
  multiply(layer.linears[kQkv], work.hidden, work.hidden_stride, false, nullptr, work.qkv, work);
  attend(pass, work);
  multiply(layer.linears[kAttentionOut], work.context, work.hidden_stride, false, work.hidden, work.hidden,
           work);
  normalise_rows(work, layer.attention_gamma, layer.attention_beta);
  multiply(layer.linears[kIntermediate], work.hidden, work.hidden_stride, true, nullptr, work.wide, work);
  multiply(layer.linears[kOutput], work.wide, work.wide_stride, false, work.hidden, work.hidden, work);
  normalise_rows(work, layer.output_gamma, layer.output_beta);
}

void Int8Encoder::attend(const TokenBatch& pass, const Workspace& work) const {
  size_t begin = 0;
  for (const size_t end : pass.ends) {
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

void Int8Encoder::normalise_rows(const Workspace& work, const float* gamma, const float* beta) const {
  for (size_t r = 0; r < work.rows; ++r) {
    float* row = work.hidden + r * work.hidden_stride;
    kernels_.layer_norm(row, gamma, beta, config_.layer_norm_eps, config_.hidden_size, row);
  }
}

void Int8Encoder::multiply(const Int8Linear& linear, const float* inputs, size_t input_stride, bool activated,
                           const float* residual, float* outputs, const Workspace& work) const {
  for (size_t r = 0; r < work.rows; ++r) {
    kernels_.quantise_row(inputs + r * input_stride, linear.multipliers, linear.inputs, linear.depth,
                          work.quantised + r * linear.depth, work.scales + r, work.sums + r);
  }
  simd::GemmI8 gemm = {};
  gemm.inputs = work.quantised;
  gemm.input_stride = gemm.depth = linear.depth;
  gemm.input_scales = work.scales;
  gemm.input_sums = work.sums;
  gemm.weights = linear.weights;
  gemm.weight_scales = linear.scales;
  gemm.biases = linear.biases;
  gemm.rows = work.rows;
  gemm.columns = gemm.output_stride = linear.columns;
  if (activated) {
    const bool tanh = config_.activation == Activation::kGeluTanh;
    gemm.activation = tanh ? simd::GemmActivation::kGeluTanh : simd::GemmActivation::kGelu;
  }
  gemm.residual = residual;
  gemm.output = outputs;
  kernels_.gemm_i8(&gemm);
}

}  // namespace enhanced_gptcache::embed
