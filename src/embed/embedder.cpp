// Embedder::open: reads and checks a model folder and chooses encoder and kernels.

#include "enhanced_gptcache/embedder.h"

#include <fmt/format.h>

#include <ctime>
#include <optional>

#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/sha256.h"
#include "embed/float_encoder.h"
#include "embed/int8_encoder.h"
#include "embed/local_embedder.h"
#include "embed/quantiser.h"
#include "embed/weights_hash.h"
#include "simd/dispatch.h"

namespace enhanced_gptcache {
namespace {

using namespace embed;

constexpr size_t kThreadsMax = 256;
constexpr size_t kQueueMax = 1U << 20;
constexpr size_t kTokenizerFileBytesMax = size_t{256} << 20;

template <typename T>
std::string_view raw_bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string_view file_text(const SafeTensors& file) {
  return {reinterpret_cast<const char*>(file.file_bytes().data()), file.file_bytes().size()};
}

// What the pair encoder's file names its base model by.
base::Sha256 hash_weights(const SafeTensors& file) { return base::sha256(file_text(file)); }

base::Hash128 hash(std::string_view domain, std::initializer_list<std::string_view> parts) {
  return base::keyed_hash(base::SecretKey{}, domain, parts);
}

Result<bool> check_options(const EmbedderOptions& options) {
  if (options.precision != "int8" && options.precision != "fp32") {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("embedder precision is \"{}\", allowed: int8, fp32", options.precision));
  }
  if (options.threads < 1 || options.threads > kThreadsMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("embedder threads is {}, allowed: 1 to {}", options.threads, kThreadsMax));
  }
  if (options.queue_max < 1 || options.queue_max > kQueueMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("embedder queue_max is {}, allowed: 1 to {}", options.queue_max, kQueueMax));
  }
  return true;
}

// The files that decide which ids a text gets; an absent one counts as empty.
Result<base::Hash128> hash_tokenizer(const std::string& folder) {
  std::string contents[3];
  const char* names[] = {"tokenizer.json", "vocab.txt", "tokenizer_config.json"};
  for (size_t i = 0; i < 3; ++i) {
    const std::string path = folder + "/" + names[i];
    if (!file_exists(path)) continue;
    EGPTC_TRY(contents[i], read_small_file(path, kTokenizerFileBytesMax));
  }
  return hash("tokenizer-files", {contents[0], contents[1], contents[2]});
}

std::string make_epoch(const ModelConfig& config, const base::Hash128& weights,
                       const base::Hash128& tokenizer, const std::string& precision) {
  const std::string shape =
      fmt::format("{} {} {} {} {} {} {} {}", config.hidden_size, config.layers, config.heads,
                  config.intermediate_size, config.layer_norm_eps, static_cast<int>(config.activation),
                  static_cast<int>(config.pooling), config.window_tokens);
  const uint32_t quantiser = precision == "int8" ? kQuantiserVersion : 0;
  return hash("model-epoch", {weights.hex(), tokenizer.hex(), shape, precision, raw_bytes(quantiser)}).hex();
}

// Float weights, calibration and quantisation; the scalar kernels, so that every machine packs the
// same bytes.
Result<Int8Block> build_int8(const ModelConfig& config, const SafeTensors& file,
                             const TokenizedTexts& calibration) {
  EGPTC_TRY(auto weights, load_encoder_weights(file, config));
  const FloatEncoder reference(config, std::move(weights), simd::kScalarKernels);
  const ChannelSizes sizes = measure_channels(config, reference, calibration.batch());
  AlignedBuffer block(int8_model_bytes(config));
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
  quantise_model(config, reference.weights(), sizes, block.bytes());
  return Int8Block(std::move(block), hash_weights(file));
}

std::string packed_path(const EmbedderOptions& options) {
  return options.packed_path.empty() ? options.model_dir + "/model.int8.packed" : options.packed_path;
}

base::Hash128 hash_of_weights(const EmbedderOptions& options, const std::string& path,
                              const SafeTensors& file) {
  const auto compute = [&] { return hash("weights", {file_text(file)}); };
  if (options.precision != "int8") return compute();  // they are read anyway
  return remembered_hash(path, packed_path(options) + ".weights", std::time(nullptr), compute);
}

struct OpenedEncoder {
  std::unique_ptr<Encoder> encoder;
  std::optional<base::Sha256> weights_sha256;  ///< where it is known without reading the weights
};

Result<OpenedEncoder> open_int8(const EmbedderOptions& options, const ModelConfig& config,
                                const SafeTensors& file, const base::Hash128& weights_hash,
                                const Tokenizer& tokenizer, const simd::KernelTable& kernels) {
  TokenizedTexts calibration;
  for (const std::string_view text : calibration_texts()) {
    append_text(tokenizer, config.window_tokens, text, calibration);
  }
  const std::string_view ids(reinterpret_cast<const char*>(calibration.ids.data()),
                             calibration.ids.size() * sizeof(int32_t));
  const auto source = hash("int8-source", {weights_hash.hex(), ids, raw_bytes(config.layer_norm_eps),
                                           raw_bytes(config.activation)});
  EGPTC_TRY(auto block, open_int8_block(packed_path(options), config, source,
                                        [&] { return build_int8(config, file, calibration); }));
  const base::Sha256 weights_sha256 = block.weights_sha256();
  return OpenedEncoder{std::make_unique<Int8Encoder>(config, std::move(block), kernels), weights_sha256};
}

Result<OpenedEncoder> open_float(const ModelConfig& config, const SafeTensors& file,
                                 const simd::KernelTable& kernels) {
  EGPTC_TRY(auto weights, load_encoder_weights(file, config));
  return OpenedEncoder{std::make_unique<FloatEncoder>(config, std::move(weights), kernels), std::nullopt};
}

// Fills pair_encoder and pair_encoder_status. The embedder serves without a pair encoder too, so that no
// failure is one of open.
void open_pair_encoder(const std::string& path, const SafeTensors& file, const base::Sha256& weights_sha256,
                       LocalEmbedder::Parts& parts) {
  auto weights = load_pair_weights(path, parts.config, file, base::to_hex(weights_sha256));
  if (!weights) {
    parts.pair_encoder_status = "the pair encoder is not in use: " + weights.error().message;
    base::log_error("{}", parts.pair_encoder_status);
    return;
  }
  parts.pair_encoder_status = fmt::format("pair encoder \"{}\": {} layers, {} word pieces of each text",
                                          weights->name, weights->layers.size(), weights->tokens_per_text);
  parts.pair_encoder = parts.encoder->make_pair_encoder(std::move(*weights));
}

}  // namespace

Result<std::unique_ptr<Embedder>> Embedder::open(const EmbedderOptions& options) {
  EGPTC_TRY([[maybe_unused]] const bool checked, check_options(options));
  EGPTC_TRY(const simd::KernelTable* kernels, simd::select_kernels(options.kernel));
  EGPTC_TRY(auto config, load_model_config(options.model_dir));
  EGPTC_TRY(auto tokenizer, Tokenizer::load(config.transformer_dir));
  if (tokenizer.id_limit() > config.vocab_size) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("the tokenizer in {} gives ids up to {}, but vocab_size in config.json is {}",
                            config.transformer_dir, tokenizer.id_limit() - 1, config.vocab_size));
  }
  EGPTC_TRY(const auto weights_path, find_weights(config.transformer_dir));
  EGPTC_TRY(const auto file, SafeTensors::open(weights_path));
  const auto weights_hash = hash_of_weights(options, weights_path, file);
  EGPTC_TRY(const auto tokenizer_hash, hash_tokenizer(config.transformer_dir));

  auto opened = options.precision == "int8"
                    ? open_int8(options, config, file, weights_hash, tokenizer, *kernels)
                    : open_float(config, file, *kernels);
  if (!opened) return fail(opened.error());
  std::string epoch = make_epoch(config, weights_hash, tokenizer_hash, options.precision);
  LocalEmbedder::Parts parts{
      config,  std::move(tokenizer),           std::move(opened->encoder), std::move(epoch), kernels->name,
      nullptr, "no pair encoder is configured"};
  if (!options.pair_encoder_path.empty()) {
    const base::Sha256 sha256 = opened->weights_sha256 ? *opened->weights_sha256 : hash_weights(file);
    open_pair_encoder(options.pair_encoder_path, file, sha256, parts);
  }
  return std::make_unique<LocalEmbedder>(std::move(parts), options.threads, options.queue_max);
}

}  // namespace enhanced_gptcache
