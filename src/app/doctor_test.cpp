#include "app/doctor.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace enhanced_gptcache::app {
namespace {

/// An encoder that gives every text the same vector, of a chosen length: what a foreign or damaged
/// model file can look like.
class FlatEmbedder : public Embedder {
 public:
  explicit FlatEmbedder(float value) : value_(value) {}
  size_t dimensions() const override { return 4; }
  size_t window_tokens() const override { return 256; }
  std::string_view model_epoch() const override { return "flat"; }
  std::string_view kernel_name() const override { return "none"; }
  TextStats inspect(std::string_view) const override { return {5, 0, false}; }
  Result<Embedding> embed(std::string_view text) const override {
    return Embedding{std::vector<float>(4, value_), inspect(text)};
  }
  Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const override {
    return std::vector<Embedding>(texts.size(), *embed(""));
  }
  void embed_async(std::string text, Callback done) const override { done(embed(text)); }

 private:
  float value_;
};

TEST(Doctor, RunsEveryCheckWhateverFails) {
  const auto findings =
      examine({{"a", []() -> Result<std::string> { return fail(ErrorCode::kIo, "disk gone"); }},
               {"b", []() -> Result<std::string> { return std::string("fine"); }}});
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_FALSE(findings[0].ok);
  EXPECT_EQ(findings[0].detail, "disk gone");
  EXPECT_TRUE(findings[1].ok);
}

TEST(Doctor, ModelThatSeesNoDifferenceFails) {
  const auto found = check_embedder(FlatEmbedder(0.5F));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("the model file is not what it should be"), std::string::npos);
}

TEST(Doctor, VectorsOfAnotherLengthFail) {
  const auto found = check_embedder(FlatEmbedder(2.0F));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("length"), std::string::npos);
}

TEST(Doctor, CacheCheckFailsWhenUnrelatedQuestionsMatch) {
  const auto found = check_cache(std::make_shared<FlatEmbedder>(0.5F));
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("unrelated"), std::string::npos);
}

TEST(Doctor, CacheCheckWithoutAModelUsesTheExactLayer) {
  const auto found = check_cache(nullptr);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_NE(found->find("semantic layer off"), std::string::npos);
}

/// Reads pairs, as far as it says: what the artifact itself is worth is looked at then.
class PairEmbedder final : public FlatEmbedder {
 public:
  PairEmbedder() : FlatEmbedder(0.5F) {}
  bool has_pair_encoder() const override { return true; }
  std::string_view pair_encoder_status() const override { return "pairs"; }
};

TEST(Doctor, VerifierThatIsMissingDamagedOrOfAnotherModelFails) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "doctor_verifier";
  fs::remove_all(folder);
  config::Settings settings;
  settings.cache.verifier_dir = folder;
  const auto message = [&](std::shared_ptr<const Embedder> embedder) {
    const auto found = check_verifier(settings, std::move(embedder));
    return found ? "fine: " + *found : found.error().message;
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
  const auto pairs = std::make_shared<PairEmbedder>();
  std::string told = message(pairs);
  EXPECT_TRUE(has(told, "only exact hits are served") && has(told, "decision.json")) << told;
  fs::create_directories(folder);
  fs::copy(fs::path(EGPTC_SOURCE_DIR) / "verifier/default", folder / "default");
  EXPECT_TRUE(check_verifier(settings, pairs)) << message(pairs);
  told = message(std::make_shared<FlatEmbedder>(0.5F));
  EXPECT_TRUE(has(told, "no pair encoder")) << told;
  EXPECT_TRUE(has(message(nullptr), "no embedder")) << message(nullptr);
  std::ofstream(folder / "default/decision.json", std::ios::app) << " ";
  told = message(pairs);
  EXPECT_TRUE(has(told, "SHA256SUMS") || has(told, "sha256")) << told;
  fs::remove(folder / "default/SHA256SUMS");
  EXPECT_FALSE(check_verifier(settings, pairs));
  settings.cache.verifier = "off";
  EXPECT_TRUE(check_verifier(settings, nullptr)) << "nobody asks it";
  fs::remove_all(folder);
}

TEST(Doctor, PcaAndTau) {
  EXPECT_TRUE(check_pca(16));
  EXPECT_FALSE(check_pca(0));
  EXPECT_TRUE(check_tau(TauOptions{}));
  TauOptions crossed;  // a floor above the ceiling cannot hold
  crossed.tau_min = 0.99;
  crossed.tau_max = 0.65;
  crossed.initial_tau = 0.99;
  EXPECT_FALSE(check_tau(crossed));
}

TEST(Doctor, StorageThatIsAFileFails) {
  const std::string path = testing::TempDir() + "/doctor_file";
  std::ofstream(path) << "x";
  EXPECT_FALSE(check_storage(path + "/below"));
  std::filesystem::remove(path);
  EXPECT_TRUE(check_storage(testing::TempDir()));
}

}  // namespace
}  // namespace enhanced_gptcache::app
