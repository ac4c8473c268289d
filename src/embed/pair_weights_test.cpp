// What the reader of pair encoder files takes and refuses.

#include "embed/pair_weights.h"

#include <gtest/gtest.h>

#include <limits>

#include "embed/tiny_pair_model.h"

namespace enhanced_gptcache::embed {
namespace {

// Small, because the damage test reads it some thousand times.
ModelConfig small_config() {
  ModelConfig config = tiny_config();
  config.hidden_size = 8;
  config.heads = 2;
  config.layers = 1;
  config.intermediate_size = 12;
  return config;
}

class PairWeightsTest : public ::testing::Test {
 protected:
  PairWeightsTest()
      : config_(small_config()),
        base_bytes_(TinyTensors(config_).bytes()),
        file_(config_, base_bytes_, true, 2) {
    auto base = SafeTensors::open(folder_.write("model.safetensors", base_bytes_));
    EXPECT_TRUE(base.has_value());
    base_ = std::make_unique<SafeTensors>(std::move(*base));
  }

  Result<PairWeights> load(const std::string& bytes) const {
    const std::string sha256 = base::to_hex(base::sha256(base_bytes_));
    return load_pair_weights(folder_.write_listed("pair.safetensors", bytes), config_, *base_, sha256);
  }
  Result<PairWeights> load() const { return load(file_.bytes()); }

  TempFolder folder_;
  ModelConfig config_;
  std::string base_bytes_;
  std::unique_ptr<SafeTensors> base_;
  TinyPairFile file_;
};

TEST_F(PairWeightsTest, EveryFlippedByteIsFound) {
  const std::string bytes = file_.bytes();
  const std::string path = folder_.write_listed("pair.safetensors", bytes);
  const std::string sha256 = base::to_hex(base::sha256(base_bytes_));
  ASSERT_TRUE(load_pair_weights(path, config_, *base_, sha256));
  for (size_t at = 0; at < bytes.size(); at += 97) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    folder_.write("pair.safetensors", flipped);
    ASSERT_FALSE(load_pair_weights(path, config_, *base_, sha256)) << at;
  }
  folder_.write("pair.safetensors", bytes);
  folder_.remove("SHA256SUMS");
  EXPECT_EQ(load_pair_weights(path, config_, *base_, sha256).error().code, ErrorCode::kNotFound);
}

TEST_F(PairWeightsTest, ReadsWhatTheFileHolds) {
  const auto weights = load();
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  EXPECT_EQ(weights->name, "tiny");
  EXPECT_EQ(weights->tokens_per_text, kTinyPairTokens);
  ASSERT_EQ(weights->layers.size(), 2U);
  const QuantisedLinear& qkv = weights->layers[1].linears[kQkv];
  EXPECT_EQ(qkv.columns, 24U);
  EXPECT_EQ(qkv.values.size(), 24U * 8);
  EXPECT_EQ(qkv.scales.size(), 24U);
  EXPECT_EQ(weights->layers[0].linears[kOutput].depth, 12U);
  // The third of the merged linears stands last.
  const auto offset =
      file_.header["encoder.layer.1.attention.self.value.weight"]["data_offsets"][1].get<size_t>();
  EXPECT_EQ(qkv.values.back(), static_cast<int8_t>(file_.data[offset - 1]));
  EXPECT_EQ(weights->head.pooler.columns, 8U);
  EXPECT_EQ(weights->head.classifier.size(), 8U);
  const auto types = load_token_types(*base_, config_);
  ASSERT_TRUE(types.has_value());
  EXPECT_FLOAT_EQ(weights->second_type[3], (*types)[8 + 3] - (*types)[3]);
}

TEST_F(PairWeightsTest, WithoutAPoolerTheClassifierReadsTheRow) {
  file_ = TinyPairFile(config_, base_bytes_, false, 2);
  const auto weights = load();
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  EXPECT_EQ(weights->head.pooler.columns, 0U);
}

TEST_F(PairWeightsTest, MetadataIsChecked) {
  struct Case {
    const char* key;
    nlohmann::json value;
    ErrorCode code;
    const char* part;
  };
  const std::string zeros(64, '0');
  for (const Case& c : {Case{"format", "pt", ErrorCode::kUnsupported, "format is \"pt\""},
                        {"format", nullptr, ErrorCode::kCorrupt, "no string \"format\""},
                        {"version", "2", ErrorCode::kUnsupported, "this build reads version \"1\""},
                        {"base_model_sha256", zeros, ErrorCode::kUnsupported, "embeddings of another model"},
                        {"base_model_sha256", 7, ErrorCode::kCorrupt, "no string \"base_model_sha256\""},
                        {"layers", "0", ErrorCode::kCorrupt, "allowed: 1 to 24"},
                        {"layers", "25", ErrorCode::kCorrupt, "allowed: 1 to 24"},
                        {"layers", "-2", ErrorCode::kCorrupt, "layers is \"-2\""},
                        {"layers", "2x", ErrorCode::kCorrupt, "layers is \"2x\""},
                        {"layers", "99999999999999999999999", ErrorCode::kCorrupt, "allowed: 1 to 24"},
                        {"layers", "3", ErrorCode::kCorrupt, "encoder.layer.2.attention.self.query.weight"},
                        {"layers", "1", ErrorCode::kUnsupported, "encoder.layer.1."},
                        {"tokens_per_text", "19", ErrorCode::kCorrupt, "allowed: 1 to 18"},
                        {"tokens_per_text", "", ErrorCode::kCorrupt, "allowed: 1 to 18"},
                        {"name", "", ErrorCode::kCorrupt, "printable"},
                        {"name", "a\nb", ErrorCode::kCorrupt, "printable"},
                        {"name", std::string(101, 'x'), ErrorCode::kCorrupt, "1 to 100"}}) {
    TinyPairFile file = file_;
    file.metadata()[c.key] = c.value;
    SCOPED_TRACE(c.key);
    expect_error(load(file.bytes()), c.code, c.part);
  }
  file_.header.erase("__metadata__");
  expect_error(load(), ErrorCode::kCorrupt, "no string \"format\"");
}

TEST_F(PairWeightsTest, TensorsAreChecked) {
  const auto change = [&](const char* part, ErrorCode code, const auto& edit) {
    TinyPairFile file = file_;
    edit(file);
    SCOPED_TRACE(part);
    expect_error(load(file.bytes()), code, part);
  };
  const std::string dense = "encoder.layer.0.intermediate.dense";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  change("holds -128", ErrorCode::kCorrupt,
         [&](auto& file) { file.set_first(dense + ".weight", int8_t{-128}); });
  change("negative", ErrorCode::kCorrupt,
         [&](auto& file) { file.set_first(dense + ".weight_scale", -1.0F); });
  change("weight_scale\" holds nan", ErrorCode::kCorrupt,
         [&](auto& file) { file.set_first(dense + ".weight_scale", nan); });
  change("classifier.weight\" holds inf", ErrorCode::kCorrupt,
         [&](auto& file) { file.set_first("classifier.weight", std::numeric_limits<float>::infinity()); });
  change("has shape [8, 12]", ErrorCode::kCorrupt, [&](auto& file) {
    file.header[dense + ".weight"]["shape"] = {8, 12};
  });
  change("is of type U8, supported", ErrorCode::kUnsupported,
         [&](auto& file) { file.header[dense + ".weight"]["dtype"] = "U8"; });
  change("is of type F32, not I8", ErrorCode::kUnsupported, [&](auto& file) {
    file.header[dense + ".weight"]["dtype"] = "F32";
    file.header[dense + ".weight"]["shape"] = {12, 2};
  });
  change("holds integers", ErrorCode::kUnsupported, [&](auto& file) {
    file.header[dense + ".bias"]["dtype"] = "I8";
    file.header[dense + ".bias"]["shape"] = {48};
  });
  change("no tensor \"pooler.dense.bias\"", ErrorCode::kCorrupt, [&](auto& file) {
    file.header["other"] = file.header["pooler.dense.bias"];
    file.header.erase("pooler.dense.bias");
  });
  change("\"embeddings.LayerNorm.weight\" is no part", ErrorCode::kUnsupported,
         [&](auto& file) { file.add("embeddings.LayerNorm.weight", {8}, 1, 0); });
}

TEST_F(PairWeightsTest, ABaseModelWithoutTwoTokenTypesCannotReadPairs) {
  config_.type_vocab_size = 1;
  expect_error(load(), ErrorCode::kUnsupported, "1 token types");
}

TEST_F(PairWeightsTest, TheChecksumSeesEveryFlippedBit) {
  const std::string_view data = file_.data;
  file_.metadata()["data_sha256"] = base::to_hex(base::sha256(data));
  ASSERT_TRUE(load().has_value());
  for (size_t i = 0; i < data.size(); i += 97) {
    TinyPairFile file = file_;
    file.data[i] = static_cast<char>(file.data[i] ^ 16);
    expect_error(load(file.bytes()), ErrorCode::kCorrupt, "data_sha256 does not match");
  }
}

// Without the checksum a flipped weight may go unseen; nothing else may happen.
TEST_F(PairWeightsTest, AnyDamageIsAnErrorOrAReadableFile) {
  const std::string whole = TinyPairFile(config_, base_bytes_, false, 1).bytes();
  for_each_damage(whole, [&](const std::string& damaged) {
    const auto weights = load(damaged);
    if (damaged.size() < whole.size()) {
      EXPECT_FALSE(weights.has_value());
    } else if (weights) {
      EXPECT_EQ(weights->layers.size(), 1U);
    }
  });
  const TempFolder empty;
  expect_error(load_pair_weights(empty.path() + "/absent", config_, *base_, ""), ErrorCode::kNotFound,
               "absent");
}

}  // namespace
}  // namespace enhanced_gptcache::embed
