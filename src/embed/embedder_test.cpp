// Embedder::open and the embedder as its users see it, on the tiny made-up model.

#include "enhanced_gptcache/embedder.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "embed/tiny_model.h"
#include "simd/dispatch.h"

namespace enhanced_gptcache {
namespace {

using embed::expect_error;
using embed::TempFolder;
using embed::write_tiny_model;

class EmbedderTest : public ::testing::Test {
 protected:
  EmbedderTest() {
    write_tiny_model(folder_);
    options_.model_dir = folder_.path();
  }

  std::unique_ptr<Embedder> open() const {
    auto embedder = Embedder::open(options_);
    EXPECT_TRUE(embedder.has_value()) << embedder.error().message;
    return std::move(*embedder);
  }

  TempFolder folder_;
  EmbedderOptions options_;
};

TEST_F(EmbedderTest, TellsWhatItIs) {
  options_.kernel = "scalar";
  const auto embedder = open();
  EXPECT_EQ(embedder->dimensions(), 48U);
  EXPECT_EQ(embedder->window_tokens(), 32U);
  EXPECT_EQ(embedder->kernel_name(), "scalar");
  EXPECT_EQ(embedder->model_epoch().size(), 32U);
  options_.kernel = "auto";
  EXPECT_EQ(open()->kernel_name(), simd::kernel_names().front());
}

TEST_F(EmbedderTest, OptionsOutOfRangeAreNamedWithTheirRange) {
  options_.precision = "fp64";
  expect_error(Embedder::open(options_), ErrorCode::kInvalidArgument, "\"fp64\", allowed: int8, fp32");
  options_.precision = "int8";
  for (const size_t threads : {size_t{0}, size_t{257}}) {
    options_.threads = threads;
    expect_error(Embedder::open(options_), ErrorCode::kInvalidArgument, "allowed: 1 to 256");
  }
  options_.threads = 1;
  options_.queue_max = 0;
  expect_error(Embedder::open(options_), ErrorCode::kInvalidArgument, "queue_max is 0, allowed: 1 to");
  options_.queue_max = 1;
  options_.kernel = "mmx";
  expect_error(Embedder::open(options_), ErrorCode::kUnsupported, "available: auto");
}

TEST_F(EmbedderTest, MissingDamagedAndForeignModelsAreTold) {
  EmbedderOptions nowhere = options_;
  nowhere.model_dir = folder_.path() + "/nowhere";
  expect_error(Embedder::open(nowhere), ErrorCode::kNotFound, "nowhere");

  const std::string weights = embed::file_contents(folder_.path() + "/model.safetensors");
  folder_.write("model.safetensors", weights.substr(0, weights.size() - 1));
  expect_error(Embedder::open(options_), ErrorCode::kCorrupt, "model.safetensors");
  folder_.remove("model.safetensors");
  expect_error(Embedder::open(options_), ErrorCode::kNotFound, "model.safetensors");
  folder_.write("model.safetensors", weights);

  folder_.write("vocab.txt", embed::tiny_vocab() + "surplus\n");
  expect_error(Embedder::open(options_), ErrorCode::kCorrupt, "vocab_size");
  folder_.remove("vocab.txt");
  expect_error(Embedder::open(options_), ErrorCode::kNotFound, "vocab.txt");
  folder_.write("config.json", R"({"model_type": "gpt2"})");
  EXPECT_FALSE(Embedder::open(options_).has_value());
}

TEST_F(EmbedderTest, WeightsWithANumberThatIsNotFiniteAreCorrupt) {
  std::string weights = embed::file_contents(folder_.path() + "/model.safetensors");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(weights.data() + weights.size() - 4, &nan, 4);
  folder_.write("model.safetensors", weights);
  for (const char* precision : {"int8", "fp32"}) {
    options_.precision = precision;
    expect_error(Embedder::open(options_), ErrorCode::kCorrupt, "encoder.layer.1.output.LayerNorm.bias");
  }
}

TEST_F(EmbedderTest, PacksOnceBesideTheModel) {
  const auto first = open()->embed("some text")->values;
  const std::string path = folder_.path() + "/model.int8.packed";
  const std::string packed = embed::file_contents(path);
  EXPECT_EQ(packed.substr(0, 8), "EGPTINT8");
  EXPECT_EQ(open()->embed("some text")->values, first);
  folder_.write("model.int8.packed", packed.substr(0, 200));
  EXPECT_EQ(open()->embed("some text")->values, first);
  EXPECT_EQ(embed::file_contents(path), packed);  // made anew, and the same bytes
  options_.packed_path = folder_.path() + "/config.json/impossible";
  EXPECT_EQ(open()->embed("some text")->values, first);
}

TEST_F(EmbedderTest, TheEpochFollowsEverythingThatChangesVectors) {
  const std::string epoch(open()->model_epoch());
  EXPECT_EQ(open()->model_epoch(), epoch);
  options_.kernel = "scalar";
  EXPECT_EQ(open()->model_epoch(), epoch);
  options_.precision = "fp32";
  EXPECT_NE(open()->model_epoch(), epoch);
  options_.precision = "int8";

  write_tiny_model(folder_, "max");
  EXPECT_NE(open()->model_epoch(), epoch);
  write_tiny_model(folder_);
  EXPECT_EQ(open()->model_epoch(), epoch);

  std::string weights = embed::file_contents(folder_.path() + "/model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  folder_.write("model.safetensors", weights);
  EXPECT_NE(open()->model_epoch(), epoch);
  write_tiny_model(folder_);

  folder_.write("tokenizer_config.json", R"({"do_lower_case": false})");
  EXPECT_NE(open()->model_epoch(), epoch);
}

TEST_F(EmbedderTest, CountsTokensAndSaysWhatItCut) {
  const auto embedder = open();
  const auto check = [&](std::string_view text, uint32_t tokens, uint32_t unknown, bool truncated) {
    for (const TextStats& stats : {embedder->inspect(text), embedder->embed(text)->stats}) {
      EXPECT_EQ(stats.tokens, tokens) << text;
      EXPECT_EQ(stats.unknown_tokens, unknown) << text;
      EXPECT_EQ(stats.truncated, truncated) << text;
    }
  };
  check("", 0, 0, false);
  check("abc d", 4, 0, false);
  check("a \xCE\xB1 b", 3, 1, false);
  check(std::string(30, 'x'), 30, 0, false);
  check(std::string(31, 'x'), 31, 0, true);
  check(
      "a\xFF\xFE"
      "b",
      2, 0, false);  // invalid UTF-8 becomes U+FFFD, which the normaliser drops

  std::string shared(30, 'x');
  EXPECT_EQ(embedder->embed(shared + " tail")->values, embedder->embed(shared)->values);
  std::string enormous;
  for (int i = 0; i < 20000; ++i) enormous += "word ";
  EXPECT_EQ(embedder->embed(enormous)->stats.tokens, 80000U);
  EXPECT_EQ(embedder->inspect("ab").tokens, 2U);
}

TEST_F(EmbedderTest, BatchesKeepTheirOrder) {
  const auto embedder = open();
  const std::vector<std::string_view> texts = {"a", "longer text here", "", "a"};
  const auto batch = embedder->embed_batch(texts);
  ASSERT_EQ(batch->size(), 4U);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ((*batch)[i].values, embedder->embed(texts[i])->values);
  EXPECT_NE((*batch)[0].values, (*batch)[1].values);
  EXPECT_TRUE(embedder->embed_batch({})->empty());
}

TEST_F(EmbedderTest, ManyThreadsGetTheSameVectors) {
  options_.threads = 2;
  options_.queue_max = 4096;
  const auto embedder = open();
  std::vector<std::string> texts;
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 20; ++i) {
    texts.push_back("text " + std::string(static_cast<size_t>(i), 'q'));
    expected.push_back(embedder->embed(texts.back())->values);
  }
  std::atomic<int> wrong{0}, answered{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 100; ++i) {
        const size_t at = (i * 7 + t) % texts.size();
        if (embedder->embed(texts[at])->values != expected[at]) ++wrong;
        embedder->embed_async(texts[at], [&, at](Result<Embedding> result) {
          if (!result || result->values != expected[at]) ++wrong;
          ++answered;
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (answered < 400) std::this_thread::yield();
  EXPECT_EQ(wrong, 0);
}

TEST_F(EmbedderTest, DestructionAnswersEveryWaitingCallback) {
  std::atomic<int> answered{0};
  auto embedder = open();
  for (int i = 0; i < 100; ++i) embedder->embed_async("text", [&](const auto&) { ++answered; });
  embedder.reset();
  EXPECT_EQ(answered, 100);
}

}  // namespace
}  // namespace enhanced_gptcache
