#include "embed/pair_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "base/checksum_file.h"
#include "base/sha256.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr std::string_view kFormat = "enhanced-gptcache-pair-encoder";
constexpr std::string_view kVersion = "1";
constexpr size_t kLayersMax = 24;
constexpr size_t kNameBytesMax = 100;

// Reads a file's metadata and tensors and remembers which it read.
class Reader {
 public:
  explicit Reader(const SafeTensors& file) : file_(file) {}

  Result<std::string_view> text(std::string_view key) const {
    const auto found = file_.metadata().find(key);
    if (found != file_.metadata().end()) return std::string_view(found->second);
    return fail(ErrorCode::kCorrupt, fmt::format("{}: metadata has no string \"{}\"", file_.path(), key));
  }

  // The string must be this one.
  Result<void> expect(std::string_view key, std::string_view value, std::string_view meaning) const {
    EGPTC_TRY(const std::string_view found, text(key));
    if (found == value) return {};
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: {} is \"{:.80}\", {} \"{}\"", file_.path(), key, found, meaning, value));
  }

  Result<size_t> count(std::string_view key, size_t max) const {
    EGPTC_TRY(const std::string_view digits, text(key));
    size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc() && end == digits.data() + digits.size() && value >= 1 && value <= max) {
      return value;
    }
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}: {} is \"{:.80}\", allowed: 1 to {}", file_.path(), key, digits, max));
  }

  Result<std::vector<float>> vector(const std::string& name, uint64_t length) {
    return floats(name, std::array{length});
  }
  Result<std::vector<float>> matrix(const std::string& name, uint64_t rows, uint64_t columns) {
    return floats(name, std::array{rows, columns});
  }

  Result<NormWeights> norm(const std::string& name, uint64_t length) {
    EGPTC_TRY(auto gamma, vector(name + ".weight", length));
    EGPTC_TRY(auto beta, vector(name + ".bias", length));
    return NormWeights{std::move(gamma), std::move(beta)};
  }

  // Appends: query, key and value become one.
  Result<void> add_linear(const std::string& name, uint64_t columns, uint64_t depth, QuantisedLinear& out) {
    read_.insert(name + ".weight");
    const auto values = as_damage(file_.int8s(name + ".weight", std::array{columns, depth}));
    if (!values) return fail(values.error());
    // The kernels need a magnitude of at most 127.
    if (std::find(values->begin(), values->end(), int8_t{-128}) != values->end()) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: {}.weight holds -128, allowed: -127 to 127", file_.path(), name));
    }
    EGPTC_TRY(const auto scales, vector(name + ".weight_scale", columns));
    if (std::any_of(scales.begin(), scales.end(), [](float scale) { return scale < 0; })) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: {}.weight_scale holds a negative number", file_.path(), name));
    }
    EGPTC_TRY(const auto biases, vector(name + ".bias", columns));
    out.columns += columns;
    out.depth = depth;
    out.values.insert(out.values.end(), values->begin(), values->end());
    out.scales.insert(out.scales.end(), scales.begin(), scales.end());
    out.biases.insert(out.biases.end(), biases.begin(), biases.end());
    return {};
  }

  bool contains(std::string_view name) const { return file_.contains(name); }

  // A tensor nobody read would be a part of the model that is silently left out.
  Result<void> expect_all_read() const {
    for (const std::string& name : file_.names()) {
      if (read_.contains(name)) continue;
      return fail(
          ErrorCode::kUnsupported,
          fmt::format("{}: tensor \"{}\" is no part of a pair encoder with the layers the file states",
                      file_.path(), name));
    }
    return {};
  }

 private:
  // A file that lacks a tensor its metadata asks for is damaged as a whole.
  template <typename T>
  static Result<T> as_damage(Result<T> result) {
    if (result || result.error().code != ErrorCode::kNotFound) return result;
    return fail(ErrorCode::kCorrupt, result.error().message);
  }

  Result<std::vector<float>> floats(const std::string& name, std::span<const uint64_t> shape) {
    read_.insert(name);
    return as_damage(file_.floats(name, shape));
  }

  const SafeTensors& file_;
  std::set<std::string, std::less<>> read_;
};

Result<PairLayer> load_layer(Reader& reader, const ModelConfig& config, size_t index) {
  const std::string name = fmt::format("encoder.layer.{}.", index);
  const uint64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  PairLayer layer;
  for (const char* part : {"query", "key", "value"}) {
    EGPTC_TRY_VOID(reader.add_linear(name + "attention.self." + part, hidden, hidden, layer.linears[kQkv]));
  }
  EGPTC_TRY_VOID(
      reader.add_linear(name + "attention.output.dense", hidden, hidden, layer.linears[kAttentionOut]));
  EGPTC_TRY_VOID(
      reader.add_linear(name + "intermediate.dense", intermediate, hidden, layer.linears[kIntermediate]));
  EGPTC_TRY_VOID(reader.add_linear(name + "output.dense", hidden, intermediate, layer.linears[kOutput]));
  EGPTC_TRY(layer.attention_norm, reader.norm(name + "attention.output.LayerNorm", hidden));
  EGPTC_TRY(layer.output_norm, reader.norm(name + "output.LayerNorm", hidden));
  return layer;
}

Result<PairHead> load_head(Reader& reader, uint64_t hidden) {
  PairHead head;
  if (reader.contains("pooler.dense.weight")) {
    EGPTC_TRY(auto weights, reader.matrix("pooler.dense.weight", hidden, hidden));
    EGPTC_TRY(auto biases, reader.vector("pooler.dense.bias", hidden));
    head.pooler = {hidden, hidden, std::move(weights), std::move(biases)};
  }
  EGPTC_TRY(head.classifier, reader.matrix("classifier.weight", 1, hidden));
  EGPTC_TRY(const auto bias, reader.vector("classifier.bias", 1));
  head.bias = bias.front();
  return head;
}

// What must be known before any tensor is looked at.
Result<void> check_metadata(const Reader& reader, const SafeTensors& file, std::string_view base_sha256) {
  EGPTC_TRY_VOID(reader.expect("format", kFormat, "expected"));
  EGPTC_TRY_VOID(reader.expect("version", kVersion, "this build reads version"));
  EGPTC_TRY_VOID(reader.expect("base_model_sha256", base_sha256,
                               "it was trained on the embeddings of another model than the one in use, whose "
                               "model.safetensors has"));
  if (!file.metadata().contains("data_sha256")) return {};
  const std::span<const std::byte> data = file.data_bytes();
  const base::Sha256 hash = base::sha256({reinterpret_cast<const char*>(data.data()), data.size()});
  EGPTC_TRY(const std::string_view expected, reader.text("data_sha256"));
  if (base::to_hex(hash) == expected) return {};
  return fail(ErrorCode::kCorrupt, file.path() + ": data_sha256 does not match the tensors; it is damaged");
}

Result<std::string> read_name(const Reader& reader, const std::string& path) {
  EGPTC_TRY(const std::string_view name, reader.text("name"));
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!name.empty() && name.size() <= kNameBytesMax && plain) return std::string(name);
  return fail(ErrorCode::kCorrupt,
              fmt::format("{}: name is not 1 to {} printable ASCII characters", path, kNameBytesMax));
}

}  // namespace

Result<PairWeights> load_pair_weights(const std::string& path, const ModelConfig& config,
                                      const SafeTensors& base, std::string_view base_sha256) {
  EGPTC_TRY(const SafeTensors file, SafeTensors::open(path));
  const auto bytes = file.file_bytes();
  EGPTC_TRY_VOID(
      base::check_listed_sha256(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  Reader reader(file);
  EGPTC_TRY_VOID(check_metadata(reader, file, base_sha256));
  if (config.type_vocab_size < 2 || config.max_positions < 5) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: the base model has {} token types and {} positions, a pair needs 2 and 5",
                            path, config.type_vocab_size, config.max_positions));
  }
  PairWeights weights;
  EGPTC_TRY(weights.name, read_name(reader, path));
  EGPTC_TRY(const size_t layers, reader.count("layers", kLayersMax));
  EGPTC_TRY(weights.tokens_per_text, reader.count("tokens_per_text", (size_t{config.max_positions} - 3) / 2));
  for (size_t i = 0; i < layers; ++i) {
    EGPTC_TRY(auto layer, load_layer(reader, config, i));
    weights.layers.push_back(std::move(layer));
  }
  EGPTC_TRY(weights.head, load_head(reader, config.hidden_size));
  EGPTC_TRY_VOID(reader.expect_all_read());
  EGPTC_TRY(const auto types, load_token_types(base, config));
  const float* const second = types.data() + config.hidden_size;
  for (size_t d = 0; d < config.hidden_size; ++d) weights.second_type.push_back(second[d] - types[d]);
  return weights;
}

float apply_head(const PairHead& head, const float* row, float (*dot)(const float*, const float*, size_t)) {
  const size_t hidden = head.classifier.size();
  if (head.pooler.columns == 0) return dot(head.classifier.data(), row, hidden) + head.bias;
  float logit = head.bias;
  for (size_t c = 0; c < head.pooler.columns; ++c) {
    const float sum = dot(head.pooler.weights.data() + c * hidden, row, hidden) + head.pooler.biases[c];
    logit += head.classifier[c] * std::tanh(sum);
  }
  return logit;
}

}  // namespace enhanced_gptcache::embed
