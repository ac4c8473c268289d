#include "embed/int8_encoder.h"

#include <algorithm>
#include <cstring>

#include "embed/int8_pair_encoder.h"
#include "embed/pooling.h"

namespace enhanced_gptcache::embed {
namespace {

/// Every text reads all layers: pages of 4 KiB would need 2,600 translations each time, and in a server
/// other work takes them out of the processor's tables between two texts.
AlignedBuffer copy_of_layers(const ModelConfig& config, const Int8Block& block) {
  if (!block.is_mapped()) return {};
  AlignedBuffer layers(int8_layers_bytes(config));
  std::memcpy(layers.bytes().data(), block.bytes().data(), layers.bytes().size());
  block.release_pages(layers.bytes().size());
  return layers;
}

Int8Model view_with_layers(const ModelConfig& config, const Int8Block& block, const AlignedBuffer& layers) {
  Int8Model model = view_int8_model(config, block.bytes());
  if (!layers.bytes().empty()) model.layers = view_int8_layers(config, layers.bytes());
  return model;
}

}  // namespace

Int8Encoder::Int8Encoder(const ModelConfig& config, Int8Block block, const simd::KernelTable& kernels)
    : config_(config),
      block_(std::move(block)),
      layers_(copy_of_layers(config_, block_)),
      model_(view_with_layers(config_, block_, layers_)),
      kernels_(kernels),
      runner_(config_, kernels) {}

std::unique_ptr<PairEncoder> Int8Encoder::make_pair_encoder(PairWeights weights) const {
  return std::make_unique<Int8PairEncoder>(*this, std::move(weights));
}

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
  const Int8Workspace work(config_, pass.ids.size(), tokens_max);
  embed_tokens(pass, work);
  for (const Int8Layer& layer : model_.layers) runner_.run_layer(layer, pass.ends, work);
  begin = 0;
  for (const size_t end : pass.ends) {
    pool_rows(config_.pooling, work.hidden + begin * work.hidden_stride, work.hidden_stride, end - begin,
              config_.hidden_size, vectors);
    normalise(vectors, config_.hidden_size);
    vectors += config_.hidden_size;
    begin = end;
  }
}

void Int8Encoder::embed_tokens(const TokenBatch& pass, const Int8Workspace& work) const {
  const size_t hidden = config_.hidden_size;
  size_t row = 0;
  for (const size_t end : pass.ends) {
    for (size_t position = 0; row < end; ++row, ++position) {
      const auto id = static_cast<size_t>(pass.ids[row]);
      kernels_.dequantise_add(model_.words + id * hidden, model_.word_scales[id],
                              model_.positions + position * hidden, hidden,
                              work.hidden + row * work.hidden_stride);
    }
  }
  runner_.normalise_rows(work, model_.embedding_gamma, model_.embedding_beta);
}

}  // namespace enhanced_gptcache::embed
