// The whole decision on the real sentence encoder; skipped where the model was not fetched.

#include <gtest/gtest.h>

#include <filesystem>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache {
namespace {

class RealModelTest : public testing::Test {
 protected:
  void SetUp() override {
    EmbedderOptions model;
    model.model_dir = std::string(EGPTC_SOURCE_DIR) + "/models/all-MiniLM-L6-v2";
    if (!std::filesystem::exists(model.model_dir + "/model.safetensors")) GTEST_SKIP() << "no model here";
    auto embedder = Embedder::open(model);
    ASSERT_TRUE(embedder) << embedder.error().message;
    cache_ = EnhancedCache::open(Options(), std::shared_ptr<const Embedder>(std::move(*embedder))).value();
  }
  void put(const Prompt& prompt, std::string_view text) {
    StoreRequest request;
    request.prompt = prompt;
    request.text = text;
    const auto stored = cache_->store(request);
    ASSERT_TRUE(stored && stored->semantic);
  }

  std::unique_ptr<EnhancedCache> cache_;
};

TEST_F(RealModelTest, ServesAParaphraseAndRefusesANearMiss) {
  put(make_prompt("How do I reset my password?"), "Click on the link.");
  const auto hit = cache_->lookup(make_prompt("How can I reset my password?"));
  ASSERT_TRUE(hit);
  ASSERT_NE(hit->entry, nullptr) << to_string(hit->reason) << " " << hit->detail;
  EXPECT_EQ(hit->layer, Layer::kSemantic);
  EXPECT_EQ(hit->threshold, 0.85);
  EXPECT_GT(hit->similarity, 0.9);
  EXPECT_EQ(hit->entry->text(), "Click on the link.");
  for (const char* other :
       {"How do I delete my password?", "How do I reset my phone?", "Who reset my password?"}) {
    const auto miss = cache_->lookup(make_prompt(other));
    ASSERT_TRUE(miss);
    EXPECT_EQ(miss->entry, nullptr) << other;
    EXPECT_TRUE(miss->nearest) << other;
  }
}

TEST_F(RealModelTest, KeepsConversationsApart) {
  const std::vector<Turn> vienna = {{"user", "Tell me about Vienna."},
                                    {"assistant", "Vienna is in Austria."}};
  const std::vector<Turn> lisbon = {{"user", "Tell me about Lisbon."},
                                    {"assistant", "Lisbon is in Portugal."}};
  put(make_prompt("How many people live there?", vienna), "Two million.");
  EXPECT_NE(cache_->lookup(make_prompt("How many people live there?", vienna))->entry, nullptr);
  EXPECT_NE(cache_->lookup(make_prompt("How many people are living there?", vienna))->entry, nullptr);
  EXPECT_EQ(cache_->lookup(make_prompt("How many people live there?", lisbon))->entry, nullptr);
  EXPECT_EQ(cache_->lookup(make_prompt("How many people live there?"))->entry, nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache
