#pragma once
// For the unit tests of this folder: a tiny made-up pair encoder over the model of tiny_model.h, whose
// numbers tools/embed_reference.py draws the same way (tests/golden/pair_tiny.json).

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "embed/tiny_model.h"

namespace enhanced_gptcache::embed {

constexpr size_t kTinyPairLayers = 3;
constexpr size_t kTinyPairTokens = 16;

/// The file of a pair encoder of this base model's shape; its parts may be changed before bytes().
class TinyPairFile {
 public:
  nlohmann::json header;
  std::string data;

  explicit TinyPairFile(const ModelConfig& config, std::string_view base_weights, bool pooler = false,
                        size_t layers = kTinyPairLayers) {
    const size_t hidden = config.hidden_size;
    header["__metadata__"] = {{"format", "enhanced-gptcache-pair-encoder"},
                              {"version", "1"},
                              {"name", "tiny"},
                              {"layers", std::to_string(layers)},
                              {"tokens_per_text", std::to_string(kTinyPairTokens)},
                              {"base_model_sha256", base::to_hex(base::sha256(base_weights))}};
    add_tiny_layers(
        config, layers,
        [&](const std::string& name, size_t rows, size_t columns) { linear(name, rows, columns); },
        [&](const std::string& name, size_t length) { norm(name, length); });
    add("classifier.weight", {1, hidden}, 0, 0.25);
    add("classifier.bias", {1}, 0, 0.125);
    if (!pooler) return;
    add("pooler.dense.weight", {hidden, hidden}, 0, 0.25);
    add("pooler.dense.bias", {hidden}, 0, 0.125);
  }

  nlohmann::json& metadata() { return header["__metadata__"]; }
  void add(const std::string& name, const std::vector<size_t>& shape, double centre, double spread) {
    append(name, "F32", shape, [&](double unit) {
      const auto value = static_cast<float>(centre + (unit - 0.5) * 2 * spread);
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    });
  }
  /// Overwrites the first bytes of a tensor.
  template <typename T>
  void set_first(const std::string& name, T value) {
    std::memcpy(data.data() + header[name]["data_offsets"][0].get<size_t>(), &value, sizeof value);
  }

  std::string bytes() const {
    const std::string text = header.dump();
    std::string out(8, '\0');
    const uint64_t length = text.size();
    std::memcpy(out.data(), &length, sizeof length);
    return out + text + data;
  }

 private:
  template <typename Append>
  void append(const std::string& name, const char* type, const std::vector<size_t>& shape,
              const Append& append_number) {
    size_t count = 1;
    for (const size_t size : shape) count *= size;
    const size_t begin = data.size();
    for (size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      append_number(static_cast<double>(state_ >> 40) / 16777216.0);
    }
    header[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  void norm(const std::string& name, size_t length) {
    add(name + ".weight", {length}, 1, 0.25);
    add(name + ".bias", {length}, 0, 0.25);
  }
  void linear(const std::string& name, size_t rows, size_t columns) {
    append(name + ".weight", "I8", {rows, columns}, [&](double unit) {
      data.push_back(static_cast<char>(static_cast<int>(std::floor(unit * 255)) - 127));
    });
    add(name + ".weight_scale", {rows}, 0.002, 0.001);
    add(name + ".bias", {rows}, 0, 0.125);
  }

  uint64_t state_ = 2;
};

}  // namespace enhanced_gptcache::embed
