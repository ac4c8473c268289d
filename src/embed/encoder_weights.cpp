#include "embed/encoder_weights.h"

#include <fmt/format.h>

#include <array>

namespace enhanced_gptcache::embed {
namespace {

// Reads tensors under the prefix the file uses: none, or "bert." when it was saved with a head.
class Reader {
 public:
  explicit Reader(const SafeTensors& file)
      : file_(file), prefix_(file.contains("embeddings.word_embeddings.weight") ? "" : "bert.") {}

  Result<std::vector<float>> vector(const std::string& name, uint64_t length) const {
    return floats(name, std::array{length});
  }
  Result<std::vector<float>> matrix(const std::string& name, uint64_t rows, uint64_t columns) const {
    return floats(name, std::array{rows, columns});
  }

  Result<NormWeights> norm(const std::string& name, uint64_t length) const {
    EGPTC_TRY(auto gamma, vector(name + ".weight", length));
    EGPTC_TRY(auto beta, vector(name + ".bias", length));
    return NormWeights{std::move(gamma), std::move(beta)};
  }

  Result<LinearWeights> linear(const std::string& name, uint64_t columns, uint64_t depth) const {
    EGPTC_TRY(auto weights, matrix(name + ".weight", columns, depth));
    EGPTC_TRY(auto biases, vector(name + ".bias", columns));
    return LinearWeights{columns, depth, std::move(weights), std::move(biases)};
  }

 private:
  Result<std::vector<float>> floats(const std::string& name, std::span<const uint64_t> shape) const {
    auto values = file_.floats(prefix_ + name, shape);
    // A model folder whose weights lack a tensor its config.json asks for is damaged as a whole.
    if (!values && values.error().code == ErrorCode::kNotFound) {
      return fail(ErrorCode::kCorrupt, values.error().message);
    }
    return values;
  }

  const SafeTensors& file_;
  std::string prefix_;
};

Result<LinearWeights> load_qkv(const Reader& reader, const std::string& layer, uint64_t hidden) {
  LinearWeights merged{3 * hidden, hidden, {}, {}};
  for (const char* part : {"query", "key", "value"}) {
    EGPTC_TRY(const auto linear, reader.linear(layer + "attention.self." + part, hidden, hidden));
    merged.weights.insert(merged.weights.end(), linear.weights.begin(), linear.weights.end());
    merged.biases.insert(merged.biases.end(), linear.biases.begin(), linear.biases.end());
  }
  return merged;
}

Result<LayerWeights> load_layer(const Reader& reader, const ModelConfig& config, size_t index) {
  const std::string name = fmt::format("encoder.layer.{}.", index);
  const uint64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  LayerWeights layer;
  EGPTC_TRY(layer.linears[kQkv], load_qkv(reader, name, hidden));
  EGPTC_TRY(layer.linears[kAttentionOut], reader.linear(name + "attention.output.dense", hidden, hidden));
  EGPTC_TRY(layer.linears[kIntermediate], reader.linear(name + "intermediate.dense", intermediate, hidden));
  EGPTC_TRY(layer.linears[kOutput], reader.linear(name + "output.dense", hidden, intermediate));
  EGPTC_TRY(layer.attention_norm, reader.norm(name + "attention.output.LayerNorm", hidden));
  EGPTC_TRY(layer.output_norm, reader.norm(name + "output.LayerNorm", hidden));
  return layer;
}

}  // namespace

Result<std::vector<float>> load_token_types(const SafeTensors& file, const ModelConfig& config) {
  return Reader(file).matrix("embeddings.token_type_embeddings.weight", config.type_vocab_size,
                             config.hidden_size);
}

Result<EncoderWeights> load_encoder_weights(const SafeTensors& file, const ModelConfig& config) {
  const Reader reader(file);
  const uint64_t hidden = config.hidden_size;
  EncoderWeights weights;
  EGPTC_TRY(weights.words, reader.matrix("embeddings.word_embeddings.weight", config.vocab_size, hidden));
  EGPTC_TRY(weights.positions,
            reader.matrix("embeddings.position_embeddings.weight", config.max_positions, hidden));
  EGPTC_TRY(const auto types, load_token_types(file, config));
  for (size_t i = 0; i < weights.positions.size(); ++i) weights.positions[i] += types[i % hidden];
  EGPTC_TRY(weights.embedding_norm, reader.norm("embeddings.LayerNorm", hidden));
  for (size_t i = 0; i < config.layers; ++i) {
    EGPTC_TRY(auto layer, load_layer(reader, config, i));
    weights.layers.push_back(std::move(layer));
  }
  return weights;
}

}  // namespace enhanced_gptcache::embed
