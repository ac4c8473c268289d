#pragma once
// For the unit tests of this folder: a tiny made-up BERT, whose numbers tools/embed_reference.py draws
// the same way (tests/golden/embedding_tiny.json holds what an independent encoder makes of it).

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "embed/encoder_weights.h"
#include "embed/model_files_fixture.h"
#include "embed/safetensors.h"

namespace enhanced_gptcache::embed {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.hidden_size = 48;
  config.layers = 2;
  config.heads = 3;
  config.intermediate_size = 72;
  config.vocab_size = 71;
  config.max_positions = 40;
  config.type_vocab_size = 2;
  config.window_tokens = 32;
  return config;
}

/// The tensors of `layers` encoder layers, in the order in which their numbers are drawn.
template <typename Linear, typename Norm>
void add_tiny_layers(const ModelConfig& config, size_t layers, const Linear& linear, const Norm& norm) {
  const size_t hidden = config.hidden_size, wide = config.intermediate_size;
  for (size_t i = 0; i < layers; ++i) {
    const std::string name = "encoder.layer." + std::to_string(i) + ".";
    for (const char* part : {"query", "key", "value"}) {
      linear(name + "attention.self." + part, hidden, hidden);
    }
    linear(name + "attention.output.dense", hidden, hidden);
    norm(name + "attention.output.LayerNorm", hidden);
    linear(name + "intermediate.dense", wide, hidden);
    linear(name + "output.dense", hidden, wide);
    norm(name + "output.LayerNorm", hidden);
  }
}

/// A safetensors file with random tensors of a BERT of this shape.
class TinyTensors {
 public:
  explicit TinyTensors(const ModelConfig& config, std::string prefix = "") : prefix_(std::move(prefix)) {
    const size_t hidden = config.hidden_size;
    add("embeddings.word_embeddings.weight", {config.vocab_size, hidden}, 0, 0.5);
    add("embeddings.position_embeddings.weight", {config.max_positions, hidden}, 0, 0.25);
    add("embeddings.token_type_embeddings.weight", {config.type_vocab_size, hidden}, 0, 0.25);
    norm("embeddings.LayerNorm", hidden);
    add_tiny_layers(
        config, config.layers,
        [&](const std::string& name, size_t rows, size_t columns) { linear(name, rows, columns); },
        [&](const std::string& name, size_t length) { norm(name, length); });
  }

  void erase(const std::string& name) { header_.erase(prefix_ + name); }
  void reshape(const std::string& name, const std::vector<size_t>& shape) {
    header_[prefix_ + name]["shape"] = shape;
  }

  std::string bytes() const {
    const std::string header = header_.dump();
    std::string out(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(out.data(), &length, sizeof length);
    return out + header + data_;
  }

 private:
  void add(const std::string& name, const std::vector<size_t>& shape, double centre, double spread) {
    size_t count = 1;
    for (const size_t size : shape) count *= size;
    const size_t begin = data_.size();
    for (size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      const double unit = static_cast<double>(state_ >> 40) / 16777216.0 - 0.5;
      const auto value = static_cast<float>(centre + unit * 2 * spread);
      data_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    header_[prefix_ + name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
  }
  void norm(const std::string& name, size_t length) {
    add(name + ".weight", {length}, 1, 0.25);
    add(name + ".bias", {length}, 0, 0.25);
  }
  void linear(const std::string& name, size_t rows, size_t columns) {
    add(name + ".weight", {rows, columns}, 0, 0.25);
    add(name + ".bias", {rows}, 0, 0.125);
  }

  std::string prefix_;
  uint64_t state_ = 1;
  nlohmann::json header_;
  std::string data_;
};

inline std::string tiny_vocab() {
  std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (char c = 'a'; c <= 'z'; ++c) vocab += std::string(1, c) + "\n";
  for (char c = 'a'; c <= 'z'; ++c) vocab += std::string("##") + c + "\n";
  for (const char c : std::string("0123456789.,?!")) vocab += std::string(1, c) + "\n";
  return vocab;
}

/// Writes the files of a sentence-transformers folder into `folder`.
inline void write_tiny_model(const TempFolder& folder, const std::string& pooling = "mean",
                             const std::string& hidden_act = "gelu") {
  const ModelConfig shape = tiny_config();
  nlohmann::json config = {{"model_type", "bert"},
                           {"hidden_size", shape.hidden_size},
                           {"num_hidden_layers", shape.layers},
                           {"num_attention_heads", shape.heads},
                           {"intermediate_size", shape.intermediate_size},
                           {"vocab_size", shape.vocab_size},
                           {"max_position_embeddings", shape.max_positions},
                           {"type_vocab_size", shape.type_vocab_size},
                           {"layer_norm_eps", 1e-12},
                           {"hidden_act", hidden_act}};
  folder.write("config.json", config.dump());
  folder.write("sentence_bert_config.json", R"({"max_seq_length": 32})");
  folder.write("modules.json",
               R"([{"path": "", "type": "sentence_transformers.models.Transformer"},
                   {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  nlohmann::json pooling_config = {{"word_embedding_dimension", shape.hidden_size}};
  for (const std::string name : {"cls", "mean", "max", "mean_sqrt_len"}) {
    pooling_config["pooling_mode_" + name + (name == "cls" ? "_token" : "_tokens")] = name == pooling;
  }
  folder.write("1_Pooling/config.json", pooling_config.dump());
  folder.write("vocab.txt", tiny_vocab());
  folder.write("model.safetensors", TinyTensors(shape).bytes());
}

/// Tensors of a made-up model of any shape, loaded.
inline EncoderWeights tiny_weights(const ModelConfig& config) {
  const TempFolder folder;
  auto file = SafeTensors::open(folder.write("model.safetensors", TinyTensors(config).bytes()));
  EXPECT_TRUE(file.has_value());
  auto weights = load_encoder_weights(*file, config);
  EXPECT_TRUE(weights.has_value());
  return std::move(*weights);
}

}  // namespace enhanced_gptcache::embed
