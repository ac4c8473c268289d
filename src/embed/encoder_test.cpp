// The encoders against vectors that tools/embed_quality.py computed in numpy, and against each other.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "embed/float_encoder.h"
#include "embed/int8_encoder.h"
#include "embed/pooling.h"
#include "embed/quantiser.h"
#include "embed/tiny_model.h"
#include "enhanced_gptcache/embedder.h"
#include "simd/dispatch.h"

namespace enhanced_gptcache::embed {
namespace {

double cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return dot / std::sqrt(aa * bb);
}

nlohmann::json golden(const std::string& name) {
  return nlohmann::json::parse(file_contents(std::string(EGPTC_SOURCE_DIR) + "/tests/golden/" + name));
}

std::unique_ptr<Embedder> open(const std::string& dir, const std::string& precision,
                               const std::string& kernel, const std::string& packed) {
  EmbedderOptions options;
  options.model_dir = dir;
  options.precision = precision;
  options.kernel = kernel;
  options.packed_path = packed;
  auto embedder = Embedder::open(options);
  EXPECT_TRUE(embedder.has_value()) << embedder.error().message;
  return std::move(*embedder);
}

struct Cosines {
  double mean = 0;
  double min = 1;
};

Cosines compare(const Embedder& embedder, const nlohmann::json& rows) {
  Cosines result;
  for (const auto& row : rows) {
    const auto embedding = embedder.embed(row["text"].get<std::string>());
    EXPECT_TRUE(embedding.has_value());
    const auto expected = row["vector"].get<std::vector<float>>();
    EXPECT_EQ(embedding->values.size(), expected.size());
    EXPECT_NEAR(cosine(embedding->values, embedding->values), 1, 1e-6);
    const double value = cosine(embedding->values, expected);
    result.mean += value / static_cast<double>(rows.size());
    result.min = std::min(result.min, value);
  }
  return result;
}

TEST(GoldenEmbedding, TinyModelsOfEveryPoolingAndActivation) {
  std::map<std::pair<std::string, std::string>, nlohmann::json> variants;
  for (const auto& row : golden("embedding_tiny.json"))
    variants[{row["pooling"], row["hidden_act"]}].push_back(row);
  EXPECT_EQ(variants.size(), 5U);
  for (const auto& [variant, rows] : variants) {
    const TempFolder folder;
    write_tiny_model(folder, variant.first, variant.second);
    for (const std::string& kernel : simd::kernel_names()) {
      SCOPED_TRACE(variant.first + " " + variant.second + " " + kernel);
      EXPECT_GT(compare(*open(folder.path(), "fp32", kernel, ""), rows).min, 0.99999);
      EXPECT_GT(compare(*open(folder.path(), "int8", kernel, ""), rows).min, 0.998);
    }
  }
}

TEST(GoldenEmbedding, TheRealModel) {
  const std::string dir = real_model_dir();
  if (dir.empty()) GTEST_SKIP() << "models/all-MiniLM-L6-v2 is not installed";
  const TempFolder folder;
  const auto rows = golden("embedding.json");
  EXPECT_GT(compare(*open(dir, "fp32", "auto", ""), rows).min, 0.99999);
  for (const std::string& kernel : simd::kernel_names()) {
    const Cosines cosines = compare(*open(dir, "int8", kernel, folder.path() + "/packed"), rows);
    EXPECT_GT(cosines.mean, 0.998) << kernel;
    EXPECT_GT(cosines.min, 0.994) << kernel;
  }
}

// Shapes that fill no panel, register or row: everything padded.
ModelConfig odd_config() {
  ModelConfig config = tiny_config();
  config.hidden_size = 78;
  config.intermediate_size = 101;
  config.vocab_size = 33;
  return config;
}

struct Batch {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;
  TokenBatch view() const { return {ids, ends}; }
};

Batch make_batch(const std::vector<size_t>& lengths, size_t vocab_size) {
  Batch batch;
  uint32_t state = 7;
  for (const size_t length : lengths) {
    for (size_t i = 0; i < length; ++i) {
      state = state * 1664525U + 1013904223U;
      batch.ids.push_back(static_cast<int32_t>((state >> 8) % vocab_size));
    }
    batch.ends.push_back(batch.ids.size());
  }
  return batch;
}

Int8Block quantise(const ModelConfig& config, const FloatEncoder& reference) {
  const Batch calibration = make_batch({20, 7, 31}, config.vocab_size);
  AlignedBuffer block(int8_model_bytes(config));
  std::fill(block.bytes().begin(), block.bytes().end(), std::byte{0});
  quantise_model(config, reference.weights(), measure_channels(config, reference, calibration.view()),
                 block.bytes());
  return {std::move(block), {}};
}

std::vector<float> encode(const Encoder& encoder, const Batch& batch, size_t dimensions) {
  std::vector<float> vectors(batch.ends.size() * dimensions);
  encoder.encode(batch.view(), vectors.data());
  return vectors;
}

TEST(Int8Encoder, FollowsTheReferenceForOddShapes) {
  const ModelConfig config = odd_config();
  const FloatEncoder reference(config, tiny_weights(config), simd::best_kernels());
  const Batch batch = make_batch({1, 2, 3, 17, 40, 40, 40, 16, 5}, config.vocab_size);
  const std::vector<float> expected = encode(reference, batch, config.hidden_size);
  for (const std::string& kernel : simd::kernel_names()) {
    const Int8Encoder encoder(config, quantise(config, reference), **simd::select_kernels(kernel));
    const std::vector<float> actual = encode(encoder, batch, config.hidden_size);
    for (size_t i = 0; i < expected.size(); i += config.hidden_size) {
      EXPECT_GT(cosine({actual.data() + i, config.hidden_size}, {expected.data() + i, config.hidden_size}),
                0.997)
          << kernel << " text " << i / config.hidden_size;
    }
  }
}

// Batching is invisible: the same text gives the same bits alone, in company, and across passes.
TEST(Int8Encoder, ATextsVectorDoesNotDependOnItsBatch) {
  const ModelConfig config = tiny_config();
  const FloatEncoder reference(config, tiny_weights(config), simd::best_kernels());
  std::vector<size_t> lengths;
  for (size_t i = 0; i < 60; ++i) lengths.push_back(1 + i * 7 % 40);  // many passes of kInt8PassRows
  const Batch batch = make_batch(lengths, config.vocab_size);
  for (const std::string& kernel : simd::kernel_names()) {
    const Int8Encoder encoder(config, quantise(config, reference), **simd::select_kernels(kernel));
    const std::vector<float> together = encode(encoder, batch, config.hidden_size);
    size_t begin = 0;
    for (size_t t = 0; t < lengths.size(); ++t) {
      const Batch single{{batch.ids.begin() + static_cast<ptrdiff_t>(begin),
                          batch.ids.begin() + static_cast<ptrdiff_t>(batch.ends[t])},
                         {lengths[t]}};
      const std::vector<float> alone = encode(encoder, single, config.hidden_size);
      const auto from = together.begin() + static_cast<ptrdiff_t>(t * config.hidden_size);
      ASSERT_EQ(alone, std::vector<float>(from, from + config.hidden_size)) << kernel << " text " << t;
      begin = batch.ends[t];
    }
  }
}

TEST(Int8Encoder, AnEmptyBatchWritesNothing) {
  const ModelConfig config = tiny_config();
  const FloatEncoder reference(config, tiny_weights(config), simd::best_kernels());
  const Int8Encoder encoder(config, quantise(config, reference), simd::best_kernels());
  encoder.encode({}, nullptr);
  reference.encode({}, nullptr);
}

TEST(Pooling, FollowsItsDefinitions) {
  const float rows[] = {1, -4, 99, 3, -2, 99};  // two rows of two, stride three
  struct Case {
    Pooling pooling;
    float first, second;
  };
  const float root = std::sqrt(2.0F);
  for (const Case& c : {Case{Pooling::kMean, 2, -3}, Case{Pooling::kCls, 1, -4}, Case{Pooling::kMax, 3, -2},
                        Case{Pooling::kMeanSqrtLen, 4 / root, -6 / root}}) {
    float out[2];
    pool_rows(c.pooling, rows, 3, 2, 2, out);
    EXPECT_FLOAT_EQ(out[0], c.first);
    EXPECT_FLOAT_EQ(out[1], c.second);
  }
  float vector[] = {3, 4};
  normalise(vector, 2);
  EXPECT_FLOAT_EQ(vector[0], 0.6F);
  float zeros[] = {0, 0};
  normalise(zeros, 2);
  EXPECT_EQ(zeros[1], 0);
}

}  // namespace
}  // namespace enhanced_gptcache::embed
