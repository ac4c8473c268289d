#include "embed/int8_model.h"

#include <type_traits>

#include "base/check.h"
#include "simd/pack.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr size_t kAlignment = 64;

// Hands out consecutive aligned arrays of a block; without a block it only counts.
class Cursor {
 public:
  explicit Cursor(const std::byte* block) : block_(block) {}

  template <typename T>
  void take(T*& array, size_t count) {
    if (block_ != nullptr) {
      // The block is really writable exactly when the caller asks for mutable views.
      auto* bytes = const_cast<std::byte*>(block_ + offset_);
      array = reinterpret_cast<T*>(bytes);
    }
    offset_ += simd::round_up(count * sizeof(T), kAlignment);
  }

  size_t offset() const { return offset_; }

 private:
  const std::byte* block_;
  size_t offset_ = 0;
};

template <typename Linear>
void lay_out_linear(Cursor& cursor, size_t outputs, size_t inputs, Linear& linear) {
  linear.inputs = inputs;
  linear.depth = simd::padded_depth(inputs);
  linear.outputs = outputs;
  linear.columns = simd::padded_columns(outputs);
  cursor.take(linear.weights, simd::packed_bytes(outputs, inputs));
  cursor.take(linear.scales, linear.columns);
  cursor.take(linear.biases, linear.columns);
  cursor.take(linear.multipliers, inputs);
}

template <typename Layer>
void lay_out(Cursor& cursor, const ModelConfig& config, std::vector<Layer>& layers) {
  const size_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  layers.resize(config.layers);
  for (auto& layer : layers) {
    lay_out_linear(cursor, 3 * hidden, hidden, layer.linears[kQkv]);
    lay_out_linear(cursor, hidden, hidden, layer.linears[kAttentionOut]);
    cursor.take(layer.attention_gamma, hidden);
    cursor.take(layer.attention_beta, hidden);
    lay_out_linear(cursor, intermediate, hidden, layer.linears[kIntermediate]);
    lay_out_linear(cursor, hidden, intermediate, layer.linears[kOutput]);
    cursor.take(layer.output_gamma, hidden);
    cursor.take(layer.output_beta, hidden);
  }
}

template <typename Byte, typename SignedByte, typename Float>
void lay_out(Cursor& cursor, const ModelConfig& config, Int8ModelOf<Byte, SignedByte, Float>& model) {
  const size_t hidden = config.hidden_size;
  // Layers first: what every text reads lies together.
  lay_out(cursor, config, model.layers);
  cursor.take(model.embedding_gamma, hidden);
  cursor.take(model.embedding_beta, hidden);
  cursor.take(model.positions, size_t{config.max_positions} * hidden);
  cursor.take(model.word_scales, config.vocab_size);
  cursor.take(model.words, size_t{config.vocab_size} * hidden);
}

template <typename Model>
Model view(const ModelConfig& config, const std::byte* block, size_t bytes) {
  EGPTC_CHECK(reinterpret_cast<uintptr_t>(block) % kAlignment == 0);
  Cursor cursor(block);
  Model model;
  lay_out(cursor, config, model);
  EGPTC_CHECK(cursor.offset() == bytes);
  return model;
}

template <typename Model>
size_t count_bytes(const ModelConfig& config) {
  Cursor cursor(nullptr);
  Model model;
  lay_out(cursor, config, model);
  return cursor.offset();
}

}  // namespace

size_t int8_model_bytes(const ModelConfig& config) { return count_bytes<Int8Model>(config); }
size_t int8_layers_bytes(const ModelConfig& config) { return count_bytes<std::vector<Int8Layer>>(config); }

Int8Model view_int8_model(const ModelConfig& config, std::span<const std::byte> block) {
  return view<Int8Model>(config, block.data(), block.size());
}

MutableInt8Model view_int8_model(const ModelConfig& config, std::span<std::byte> block) {
  return view<MutableInt8Model>(config, block.data(), block.size());
}

std::vector<Int8Layer> view_int8_layers(const ModelConfig& config, std::span<const std::byte> block) {
  return view<std::vector<Int8Layer>>(config, block.data(), block.size());
}

std::vector<MutableInt8Layer> view_int8_layers(const ModelConfig& config, std::span<std::byte> block) {
  return view<std::vector<MutableInt8Layer>>(config, block.data(), block.size());
}

}  // namespace enhanced_gptcache::embed
