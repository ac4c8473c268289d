#include "embed/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "embed/model_files.h"
#include "embed/model_files_json.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr size_t kFileBytesMax = 4U << 20;
// Generous against real encoders (BERT large: 1024 wide, 24 layers), tight enough that no product of
// two of them overflows 64 bits or asks for absurd memory before the tensors are looked at.
constexpr int64_t kWidthMax = 16'384;
constexpr int64_t kLayersMax = 128;
constexpr int64_t kVocabMax = 1 << 24;
constexpr int64_t kPositionsMax = 1 << 20;

Result<uint32_t> read_count(const JsonFields& file, const char* key, int64_t max,
                            std::optional<int64_t> fallback = {}) {
  EGPTC_TRY(const int64_t value, file.integer(key, 1, max, fallback));
  return static_cast<uint32_t>(value);
}

Result<Activation> read_activation(const JsonFields& file) {
  EGPTC_TRY(const std::string name, file.text("hidden_act", "gelu"));
  if (name == "gelu" || name == "gelu_python") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  return file.failure(
      ErrorCode::kUnsupported,
      fmt::format("hidden_act is \"{}\", supported are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh", name));
}

// Refuses what only looks like a BERT encoder: other architectures, relative positions, decoders.
Result<void> check_architecture(const JsonFields& file) {
  EGPTC_TRY(const std::string type, file.text("model_type", "bert"));
  if (type != "bert") {
    return file.failure(ErrorCode::kUnsupported,
                        fmt::format("model_type is \"{}\", only \"bert\" is supported", type));
  }
  EGPTC_TRY(const std::string positions, file.text("position_embedding_type", "absolute"));
  if (positions != "absolute") {
    return file.failure(
        ErrorCode::kUnsupported,
        fmt::format("position_embedding_type is \"{}\", only \"absolute\" is supported", positions));
  }
  EGPTC_TRY(const std::optional<bool> is_decoder, file.flag("is_decoder"));
  if (is_decoder.value_or(false)) return file.failure(ErrorCode::kUnsupported, "is_decoder is true");
  return {};
}

Result<void> read_shape(const std::string& path, ModelConfig& config) {
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kFileBytesMax));
  const JsonFields file(json, path);
  if (auto ok = check_architecture(file); !ok) return fail(ok.error());
  EGPTC_TRY(config.hidden_size, read_count(file, "hidden_size", kWidthMax));
  EGPTC_TRY(config.layers, read_count(file, "num_hidden_layers", kLayersMax));
  EGPTC_TRY(config.heads, read_count(file, "num_attention_heads", kWidthMax));
  EGPTC_TRY(config.intermediate_size, read_count(file, "intermediate_size", 8 * kWidthMax));
  EGPTC_TRY(config.vocab_size, read_count(file, "vocab_size", kVocabMax));
  EGPTC_TRY(config.max_positions, read_count(file, "max_position_embeddings", kPositionsMax));
  EGPTC_TRY(config.type_vocab_size, read_count(file, "type_vocab_size", kWidthMax, 2));
  EGPTC_TRY(const double eps, file.number("layer_norm_eps", 1e-20, 1.0, 1e-12));
  config.layer_norm_eps = static_cast<float>(eps);
  EGPTC_TRY(config.activation, read_activation(file));
  if (config.hidden_size % config.heads != 0) {
    return file.failure(ErrorCode::kCorrupt,
                        fmt::format("hidden_size {} is no multiple of num_attention_heads {}",
                                    config.hidden_size, config.heads));
  }
  return {};
}

// Names of the pooling modes: ours, and the newer files' "pooling_mode": "mean".
constexpr std::array<std::pair<std::string_view, Pooling>, 4> kModes{
    {{"mean", Pooling::kMean},
     {"cls", Pooling::kCls},
     {"max", Pooling::kMax},
     {"mean_sqrt_len_tokens", Pooling::kMeanSqrtLen}}};

std::optional<Pooling> mode_of(std::string_view name) {
  if (name.ends_with("_tokens") && name != "mean_sqrt_len_tokens") name.remove_suffix(7);
  if (name.ends_with("_token")) name.remove_suffix(6);
  for (const auto& [known, pooling] : kModes) {
    if (known == name) return pooling;
  }
  return std::nullopt;
}

// One mode must be on: several would be concatenated into a longer vector.
Result<Pooling> read_pooling(const std::string& path, uint32_t hidden_size) {
  constexpr std::string_view kPrefix = "pooling_mode_";
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kFileBytesMax));
  const JsonFields file(json, path);
  EGPTC_TRY(const int64_t width, file.integer("word_embedding_dimension", 1, kWidthMax, hidden_size));
  if (width != hidden_size) {
    return file.failure(
        ErrorCode::kCorrupt,
        fmt::format("word_embedding_dimension is {}, the model's hidden_size {}", width, hidden_size));
  }
  std::vector<std::string> on;
  EGPTC_TRY(const std::string named, file.text("pooling_mode", ""));
  if (!named.empty()) on.push_back(named);
  for (const auto& [key, value] : json.items()) {
    if (!key.starts_with(kPrefix)) continue;
    EGPTC_TRY(const std::optional<bool> flag, file.flag(key.c_str()));
    if (flag.value_or(false)) on.push_back(key.substr(kPrefix.size()));
  }
  if (on.size() > 1) {
    return file.failure(
        ErrorCode::kUnsupported,
        fmt::format("several pooling modes are on ({}), one is supported", fmt::join(on, ", ")));
  }
  const std::optional<Pooling> mode = on.empty() ? std::nullopt : mode_of(on.front());
  if (!mode) {
    return file.failure(ErrorCode::kUnsupported,
                        fmt::format("pooling mode \"{}\" is not supported; supported are mean, cls, max, "
                                    "mean_sqrt_len_tokens",
                                    on.empty() ? "none" : on.front()));
  }
  return *mode;
}

// A module's folder must stay inside the model's.
Result<std::string> module_dir(const std::string& model_dir, const JsonFields& module) {
  EGPTC_TRY(const std::string path, module.text("path", ""));
  const std::filesystem::path relative(path);
  const bool leaves = relative.is_absolute() ||
                      std::find(relative.begin(), relative.end(), "..") != relative.end() ||
                      path.find('\0') != std::string::npos;
  if (leaves) return module.failure(ErrorCode::kCorrupt, "path leads out of the model folder");
  return path.empty() ? model_dir : model_dir + "/" + path;
}

// What modules.json lists, found by the last part of each module's class name.
struct Modules {
  std::string transformer_dir;
  std::string pooling_path;
  bool normalize = false;
};

Result<void> read_module(const std::string& model_dir, const JsonFields& module, Modules& modules) {
  EGPTC_TRY(const std::string type, module.text("type"));
  EGPTC_TRY(const std::string dir, module_dir(model_dir, module));
  const std::string name = type.substr(type.rfind('.') + 1);
  if (name == "Transformer" || name == "BERT") {
    modules.transformer_dir = dir;
  } else if (name == "Pooling") {
    modules.pooling_path = dir + "/config.json";
  } else if (name == "Normalize") {
    modules.normalize = true;
  } else if (name != "Dropout") {  // dropout does nothing at inference
    return module.failure(
        ErrorCode::kUnsupported,
        fmt::format("module \"{}\" is not supported; supported are Transformer, Pooling, Normalize", type));
  }
  return {};
}

Result<Modules> read_modules(const std::string& model_dir) {
  Modules modules{model_dir, "", false};
  const std::string path = model_dir + "/modules.json";
  if (!file_exists(path)) {  // a plain encoder folder: sentence-transformers takes the mean
    if (file_exists(model_dir + "/1_Pooling/config.json"))
      modules.pooling_path = model_dir + "/1_Pooling/config.json";
    return modules;
  }
  EGPTC_TRY(const std::string text, read_small_file(path, kFileBytesMax));
  // The file is a list; the JSON reader takes objects.
  EGPTC_TRY(const nlohmann::json json, parse_json_object("{\"modules\":" + text + "}", path));
  const nlohmann::json& list = json["modules"];
  if (!list.is_array()) return fail(ErrorCode::kCorrupt, path + " is not a list of modules");
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}: module {}", path, i);
    if (!list[i].is_object()) return fail(ErrorCode::kCorrupt, where + " is not an object");
    if (auto ok = read_module(model_dir, JsonFields(list[i], where), modules); !ok) return fail(ok.error());
  }
  if (modules.pooling_path.empty()) {
    return fail(ErrorCode::kUnsupported, path + " lists no Pooling module, so no text vector");
  }
  return modules;
}

Result<uint32_t> read_window(const std::string& dir, uint32_t max_positions) {
  const int64_t fallback = std::min<int64_t>(512, max_positions);
  const std::string path = dir + "/sentence_bert_config.json";
  int64_t window = fallback;
  if (file_exists(path)) {
    EGPTC_TRY(const nlohmann::json json, read_json_object(path, kFileBytesMax));
    EGPTC_TRY(window, JsonFields(json, path).integer("max_seq_length", 3, max_positions, fallback));
  }
  if (window < 3) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("{}/config.json: max_position_embeddings is {}, at least 3 are needed", dir,
                            max_positions));
  }
  return static_cast<uint32_t>(window);
}

// A default prompt would be put before every text by the reference; we would silently leave it out.
Result<void> check_default_prompt(const std::string& model_dir) {
  const std::string path = model_dir + "/config_sentence_transformers.json";
  if (!file_exists(path)) return {};
  EGPTC_TRY(const nlohmann::json json, read_json_object(path, kFileBytesMax));
  const JsonFields file(json, path);
  EGPTC_TRY(const std::string name, file.text("default_prompt_name", ""));
  if (name.empty()) return {};
  return file.failure(
      ErrorCode::kUnsupported,
      fmt::format("default_prompt_name is \"{}\"; models with a default prompt are not supported", name));
}

}  // namespace

Result<ModelConfig> load_model_config(const std::string& model_dir) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(model_dir, ignored)) {
    return fail(ErrorCode::kNotFound, fmt::format("there is no model folder {}", model_dir));
  }
  ModelConfig config;
  EGPTC_TRY(const Modules modules, read_modules(model_dir));
  config.transformer_dir = modules.transformer_dir;
  config.normalize = modules.normalize;
  if (auto ok = read_shape(config.transformer_dir + "/config.json", config); !ok) return fail(ok.error());
  if (!modules.pooling_path.empty()) {
    EGPTC_TRY(config.pooling, read_pooling(modules.pooling_path, config.hidden_size));
  }
  EGPTC_TRY(config.window_tokens, read_window(config.transformer_dir, config.max_positions));
  if (auto ok = check_default_prompt(model_dir); !ok) return fail(ok.error());
  return config;
}

}  // namespace enhanced_gptcache::embed
