// The whole decision on the real sentence encoder; skipped where the model was not fetched.

#include <gtest/gtest.h>

#include <algorithm>
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

/// The policy of a default installation: the shipped verifier decides.
class VerifiedTest : public RealModelTest {
 protected:
  void SetUp() override {
    const std::string source = EGPTC_SOURCE_DIR;
    EmbedderOptions model;
    model.model_dir = source + "/models/all-MiniLM-L6-v2";
    model.pair_encoder_path = source + "/verifier/default/pair_encoder.safetensors";
    if (!std::filesystem::exists(model.model_dir + "/model.safetensors")) GTEST_SKIP() << "no model here";
    auto embedder = Embedder::open(model);
    ASSERT_TRUE(embedder) << embedder.error().message;
    embedder_ = std::shared_ptr<const Embedder>(std::move(*embedder));
    ASSERT_TRUE(embedder_->has_pair_encoder()) << embedder_->pair_encoder_status();
    options_.decision = DecisionPolicy::kVerified;
    options_.verifier_path = source + "/verifier/default/decision.json";
    options_.tau.target_error_rate = 0.25;
    cache_ = EnhancedCache::open(options_, embedder_).value();
    put(make_prompt("How do I reset my password?"), "Click on the link.");
  }
  Lookup look(std::string_view query) { return cache_->lookup(make_prompt(query)).value(); }

  Options options_;
  std::shared_ptr<const Embedder> embedder_;
};

TEST_F(VerifiedTest, ServesByProbabilityAndRefusesWithAReason) {
  const Lookup hit = look("How can I reset my password?");
  ASSERT_NE(hit.entry, nullptr) << to_string(hit.reason) << " " << hit.detail;
  EXPECT_GE(hit.probability, 0.75);
  const Lookup other = look("How do I reset my phone?");
  EXPECT_EQ(other.entry, nullptr);
  EXPECT_TRUE(other.reason == MissReason::kVerifier || other.reason == MissReason::kGuard);
  ASSERT_TRUE(other.nearest);
  EXPECT_LT(other.nearest->probability, 0.75);
  EXPECT_EQ(look("How do I not reset my password?").reason, MissReason::kGuard);
  EXPECT_EQ(look("Why is the sky blue in summer?").reason, MissReason::kNoCandidate);
}

TEST_F(VerifiedTest, ConversationsHaveTheirOwnProbability) {
  const std::vector<Turn> vienna = {{"user", "Tell me about Vienna."},
                                    {"assistant", "Vienna is the capital of Austria on the Danube."}};
  put(make_prompt("How many people live there?", vienna), "Two million.");
  EXPECT_NE(cache_->lookup(make_prompt("How many people live there?", vienna))->entry, nullptr);
  const auto other = cache_->lookup(make_prompt("How many rivers are there?", vienna));
  EXPECT_EQ(other->entry, nullptr) << "another question of the same conversation";
  const auto explained = cache_->explain(make_prompt("What number of people live there?", vienna)).value();
  ASSERT_FALSE(explained.candidates.empty());
  EXPECT_GT(explained.candidates[0].probability, 0);
}

TEST_F(VerifiedTest, ExplainsEveryCheckAndWhatIsRequired) {
  const Explanation served = cache_->explain(make_prompt("How can I reset my password?")).value();
  ASSERT_TRUE(served.required);
  EXPECT_NEAR(served.required->probability, 0.75, 1e-9);
  ASSERT_EQ(served.candidates.size(), 1U);
  EXPECT_TRUE(served.candidates[0].served);
  for (const auto& [name, outcome] : served.candidates[0].checks) EXPECT_EQ(outcome, "pass") << name;
  const Explanation refused = cache_->explain(make_prompt("How do I reset my phone?")).value();
  ASSERT_EQ(refused.candidates.size(), 1U);
  EXPECT_FALSE(refused.candidates[0].served);
  const auto& checks = refused.candidates[0].checks;
  EXPECT_TRUE(std::any_of(checks.begin(), checks.end(), [](const auto& c) { return c.second != "pass"; }));
  EXPECT_EQ(refused.candidates[0].checks.back().first, "verifier");
}

TEST_F(VerifiedTest, WrongHitsRaiseWhatIsRequiredAndRemoveTheirEntry) {
  const char* paraphrase = "How can I reset my password?";
  for (int i = 0; i < 6; ++i) {
    Lookup hit = look(paraphrase);
    if (hit.entry == nullptr) break;  // strict enough by now
    hit.entry = nullptr;
    Feedback wrong;
    wrong.request_id = hit.request_id;
    wrong.correct = false;
    EXPECT_EQ(cache_->feedback(wrong)->action, "removed");
    EXPECT_EQ(look("How do I reset my password?").entry, nullptr) << "its entry is gone";
    put(make_prompt("How do I reset my password?"), "Click on the link.");
  }
  const Explanation strict = cache_->explain(make_prompt(paraphrase)).value();
  ASSERT_TRUE(strict.required);
  EXPECT_GT(strict.required->tenant_shift + strict.required->partition_shift, 0);
  EXPECT_GT(strict.required->labels_wrong, 0U);
  EXPECT_GT(strict.required->probability, 0.75);
}

TEST_F(VerifiedTest, ShadowModeDecidesAndServesNothing) {
  options_.mode = CacheMode::kShadow;
  ASSERT_TRUE(cache_->set_options(options_));
  const Lookup withheld = look("How can I reset my password?");
  EXPECT_EQ(withheld.entry, nullptr);
  EXPECT_EQ(withheld.reason, MissReason::kShadow);
  ASSERT_TRUE(withheld.nearest);
  EXPECT_GE(withheld.nearest->probability, 0.75);
}

}  // namespace
}  // namespace enhanced_gptcache
