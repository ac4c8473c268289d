// The pair encoders against logits that tools/pair_quality.py computed in numpy, against each other, and
// as the embedder offers them.

#include "embed/pair_encoder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "embed/int8_pair_encoder.h"
#include "embed/local_embedder.h"
#include "embed/tiny_pair_model.h"
#include "simd/dispatch.h"

namespace enhanced_gptcache::embed {
namespace {

std::string base_weights() { return TinyTensors(tiny_config()).bytes(); }

class PairEncoderTest : public ::testing::Test {
 protected:
  PairEncoderTest() {
    write_tiny_model(folder_);
    options_.model_dir = folder_.path();
    write_pair(TinyPairFile(tiny_config(), base_weights()));
  }

  void write_pair(const TinyPairFile& file) {
    options_.pair_encoder_path = folder_.write_listed("pair.safetensors", file.bytes());
  }
  std::unique_ptr<Embedder> open() const {
    auto embedder = Embedder::open(options_);
    EXPECT_TRUE(embedder.has_value()) << embedder.error().message;
    return std::move(*embedder);
  }
  static float score(const Embedder& embedder, const std::string& a, const std::string& b) {
    const std::string_view candidate = b;
    const auto logits = embedder.pair_scores(a, {&candidate, 1});
    EXPECT_TRUE(logits.has_value()) << logits.error().message;
    return logits->front();
  }

  TempFolder folder_;
  EmbedderOptions options_;
};

TEST_F(PairEncoderTest, GivesTheLogitsOfTheReference) {
  const auto rows =
      nlohmann::json::parse(file_contents(std::string(EGPTC_SOURCE_DIR) + "/tests/golden/pair_tiny.json"));
  ASSERT_EQ(rows.size(), 18U);
  for (const bool pooler : {false, true}) {
    write_pair(TinyPairFile(tiny_config(), base_weights(), pooler));
    for (const std::string& kernel : simd::kernel_names()) {
      options_.kernel = kernel;
      for (const auto& [precision, tolerance] : {std::pair{"fp32", 1e-4F}, {"int8", 0.04F}}) {
        options_.precision = precision;
        const auto embedder = open();
        for (const auto& row : rows) {
          if (row["pooler"].get<bool>() != pooler) continue;
          EXPECT_NEAR(score(*embedder, row["a"], row["b"]), row["logit"].get<float>(), tolerance)
              << kernel << " " << precision << " " << row.dump();
        }
      }
    }
  }
}

// The query's tokens are copied, pairs share passes: none of it may show.
TEST_F(PairEncoderTest, APairsLogitDoesNotDependOnItsBatch) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < 30; ++i) texts.push_back(std::string(i % 20, 'a') + " x" + std::to_string(i));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  for (const std::string& kernel : simd::kernel_names()) {
    for (const char* precision : {"int8", "fp32"}) {
      options_.kernel = kernel;
      options_.precision = precision;
      const auto embedder = open();
      const auto together = embedder->pair_scores("one query", views);
      ASSERT_TRUE(together.has_value());
      for (size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ((*together)[i], score(*embedder, "one query", texts[i])) << kernel << precision << i;
      }
      EXPECT_TRUE(embedder->pair_scores("one query", {})->empty());
      EXPECT_EQ(embedder->embed("some text")->values, embedder->embed("some text")->values);
    }
  }
}

TEST_F(PairEncoderTest, TextsAreCutAndTheirOrderMatters) {
  const auto embedder = open();
  EXPECT_EQ(embedder->pair_tokens_per_text(), kTinyPairTokens);
  const std::string shared(kTinyPairTokens, 'q');  // one word piece a letter
  EXPECT_EQ(score(*embedder, shared, "b"), score(*embedder, shared + " tail", "b"));
  EXPECT_EQ(score(*embedder, "b", shared), score(*embedder, "b", shared + " tail"));
  EXPECT_NE(score(*embedder, shared, "b"), score(*embedder, shared.substr(1), "b"));
  EXPECT_NE(score(*embedder, "a b", "c"), score(*embedder, "c", "a b"));
  EXPECT_NE(score(*embedder, "a b", "c"), score(*embedder, "a", "b c"));
}

TEST(TokenizePairs, PutsTheSecondTextAfterTheSeparator) {
  const TempFolder folder;
  write_tiny_model(folder);
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer.has_value());
  TokenizedPairs pairs;
  const std::vector<std::string_view> candidates = {"c d e f", ""};
  tokenize_pairs(*tokenizer, 3, "a b", candidates, pairs);
  const int32_t cls = 2, sep = 3, a = 5;
  EXPECT_EQ(pairs.ids, (std::vector<int32_t>{cls, a, a + 1, sep, a + 2, a + 3, a + 4, sep,  //
                                             cls, a, a + 1, sep, sep}));
  EXPECT_EQ(pairs.ends, (std::vector<size_t>{8, 13}));
  EXPECT_EQ(pairs.seconds, (std::vector<size_t>{4, 12}));
}

// The first row of every text after one layer over made-up rows.
std::vector<float> first_rows(const ModelConfig& config, const Int8Layer& layer, const std::string& kernel,
                              const std::vector<size_t>& ends, bool only_these) {
  const Int8LayerRunner runner(config, **simd::select_kernels(kernel));
  const Int8Workspace work(config, ends.back(), ends.back());
  for (size_t i = 0; i < work.rows * config.hidden_size; ++i) {
    const size_t row = i / config.hidden_size, column = i % config.hidden_size;
    work.hidden[row * work.hidden_stride + column] = std::sin(static_cast<float>(row * 31 + column));
  }
  if (only_these) {
    runner.run_layer_first_rows(layer, ends, work);
  } else {
    runner.run_layer(layer, ends, work);
  }
  std::vector<float> rows;
  for (size_t t = 0; t < ends.size(); ++t) {
    const size_t row = only_these || t == 0 ? t : ends[t - 1];
    const float* values = work.hidden + row * work.hidden_stride;
    rows.insert(rows.end(), values, values + config.hidden_size);
  }
  return rows;
}

// Also where the keys begin inside a panel of columns and where the rows need padding.
TEST(Int8LayerRunner, TheShortLayerGivesTheFirstRowsOfTheWholeOne) {
  for (const uint32_t hidden : {48, 66, 96}) {
    ModelConfig config = tiny_config();
    config.hidden_size = hidden;
    config.layers = 1;
    const TempFolder folder;
    const std::string bytes = TinyTensors(config).bytes();
    const auto base = SafeTensors::open(folder.write("model.safetensors", bytes));
    const auto weights = load_pair_weights(
        folder.write_listed("pair.safetensors", TinyPairFile(config, bytes, false, 1).bytes()), config, *base,
        base::to_hex(base::sha256(bytes)));
    ASSERT_TRUE(weights.has_value()) << weights.error().message;
    const AlignedBuffer block = pack_pair_layers(config, weights->layers);
    const Int8Layer layer = view_int8_layers(config, block.bytes()).front();
    for (const std::string& kernel : simd::kernel_names()) {
      const std::vector<float> whole = first_rows(config, layer, kernel, {3, 4, 23, 30}, false);
      const std::vector<float> few = first_rows(config, layer, kernel, {3, 4, 23, 30}, true);
      for (size_t i = 0; i < whole.size(); ++i) {
        // Attention adds in another order, which may move an input by a quantisation step.
        ASSERT_NEAR(few[i], whole[i], 0.02) << kernel << " " << hidden << " " << i;
      }
    }
  }
}

TEST_F(PairEncoderTest, ManyThreadsGetTheSameLogits) {
  const auto embedder = open();
  std::vector<std::string> texts;
  std::vector<float> expected;
  for (size_t i = 0; i < 12; ++i) {
    texts.push_back("text " + std::string(i, 'q'));
    expected.push_back(score(*embedder, "a query", texts.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 200; ++i) {
        const size_t at = (i * 7 + t) % texts.size();
        const std::string_view candidate = texts[at];
        const auto logits = embedder->pair_scores("a query", {&candidate, 1});
        if (!logits || logits->front() != expected[at]) ++wrong;
        if (i % 10 == 0 && !embedder->embed(texts[at])) ++wrong;  // the working memory is shared
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(PairEncoderTest, TheStatusNamesWhatIsLoaded) {
  const auto embedder = open();
  EXPECT_TRUE(embedder->has_pair_encoder());
  EXPECT_EQ(embedder->pair_encoder_status(), "pair encoder \"tiny\": 3 layers, 16 word pieces of each text");
  options_.pair_encoder_path.clear();
  const auto without = open();
  EXPECT_FALSE(without->has_pair_encoder());
  EXPECT_EQ(without->pair_tokens_per_text(), 0U);
  EXPECT_EQ(without->pair_encoder_status(), "no pair encoder is configured");
  EXPECT_EQ(without->model_epoch(), embedder->model_epoch());
  EXPECT_EQ(without->embed("text")->values, embedder->embed("text")->values);
}

TEST_F(PairEncoderTest, AFileThatCannotBeUsedIsToldAndTheEmbedderServes) {
  const std::string_view candidate = "b";
  const auto expect_none = [&](const std::string& part) {
    for (const char* precision : {"int8", "fp32"}) {
      options_.precision = precision;
      const auto embedder = open();
      EXPECT_FALSE(embedder->has_pair_encoder());
      EXPECT_NE(embedder->pair_encoder_status().find(part), std::string_view::npos)
          << embedder->pair_encoder_status();
      expect_error(embedder->pair_scores("a", {&candidate, 1}), ErrorCode::kUnsupported, part);
      EXPECT_TRUE(embedder->embed("text").has_value());
    }
  };
  write_pair(TinyPairFile(tiny_config(), "another model"));
  expect_none("the embeddings of another model than the one in use");
  const std::string whole = TinyPairFile(tiny_config(), base_weights()).bytes();
  folder_.write("pair.safetensors", whole.substr(0, whole.size() / 2));
  expect_none("truncated");
  folder_.remove("pair.safetensors");
  expect_none("pair.safetensors");
  options_.pair_encoder_path = folder_.path();
  expect_none("not a regular file");
}

// The hash of the weights comes from the packed file at later starts, and follows the weights.
TEST_F(PairEncoderTest, TheBaseModelIsKnownAtLaterStartsToo) {
  for (int start = 0; start < 3; ++start) EXPECT_TRUE(open()->has_pair_encoder());
  std::string weights = base_weights();
  weights.back() = static_cast<char>(weights.back() ^ 1);
  folder_.write("model.safetensors", weights);
  for (int start = 0; start < 2; ++start) EXPECT_FALSE(open()->has_pair_encoder());
  write_pair(TinyPairFile(tiny_config(), weights));
  EXPECT_TRUE(open()->has_pair_encoder());
}

TEST_F(PairEncoderTest, ALogitThatIsNotFiniteIsAnError) {
  TinyPairFile file(tiny_config(), base_weights());
  for (size_t i = 0; i < 48; ++i) {
    const float huge = std::numeric_limits<float>::max();
    std::memcpy(file.data.data() + file.header["classifier.weight"]["data_offsets"][0].get<size_t>() + 4 * i,
                &huge, sizeof huge);
  }
  write_pair(file);
  const std::string_view candidate = "b";
  for (const char* precision : {"int8", "fp32"}) {
    options_.precision = precision;
    expect_error(open()->pair_scores("a", {&candidate, 1}), ErrorCode::kInternal, "not finite");
  }
}

}  // namespace
}  // namespace enhanced_gptcache::embed
