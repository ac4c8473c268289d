// The whole decision on the real sentence encoder; skipped where the model was not fetched.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

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

/// Too long for the pair encoder, and alike enough for its grey zone.
std::string long_text(std::string_view place) {
  std::string text = "Please write a travel report about a week in " + std::string(place) + ".";
  for (const char* part : {" Start with the arrival at the station and the walk to the hotel.",
                           " Go on with the museums, the market halls and the old harbour.",
                           " Describe the food in three restaurants and what it costs.",
                           " Say something about the weather in spring and in autumn.",
                           " Close with advice for families who travel with small children."})
    text += part;
  return text;
}

TEST_F(VerifiedTest, ExplainGivesOneProbabilityOfWhatAGuardVetoes) {
  put(make_prompt(long_text("a quiet village")), "a");
  const auto explained = cache_->explain(make_prompt(long_text("a quiet hamlet")), {});
  ASSERT_TRUE(explained);
  ASSERT_EQ(explained->candidates.size(), 1U);
  const CandidateReport& candidate = explained->candidates.front();
  ASSERT_EQ(explained->decision.reason, MissReason::kGuard);
  EXPECT_EQ(explained->decision.detail, "long_text");
  ASSERT_TRUE(explained->decision.nearest);
  EXPECT_DOUBLE_EQ(candidate.probability, explained->decision.nearest->probability);
  EXPECT_GT(candidate.probability, 0);
  const auto veto = std::find_if(candidate.checks.begin(), candidate.checks.end(),
                                 [](const auto& check) { return check.first == "guard:long_text"; });
  ASSERT_NE(veto, candidate.checks.end());
  EXPECT_NE(veto->second, "pass");
}

/// A file that lost a byte decides nothing: exact hits go on, nothing is served by meaning.
TEST_F(VerifiedTest, ADamagedArtifactLeavesExactHitsOnly) {
  const std::string folder = testing::TempDir() + "egptc_damaged_verifier";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(std::string(EGPTC_SOURCE_DIR) + "/verifier/default", folder);
  std::fstream file(folder + "/decision.json", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5000);
  file.write("@@", 2);
  file.close();
  options_.verifier_path = folder + "/decision.json";
  cache_ = EnhancedCache::open(options_, embedder_).value();
  put(make_prompt("How do I reset my password?"), "Click on the link.");
  EXPECT_NE(look("How do I reset my password?").entry, nullptr);
  const Lookup missed = look("How can I reset my password?");
  EXPECT_EQ(missed.entry, nullptr);
  EXPECT_EQ(missed.reason, MissReason::kIneligible);
  EXPECT_EQ(missed.detail, "verifier_unavailable");
  EXPECT_EQ(cache_->explain(make_prompt("How can I reset my password?"), {})->policy, "verified");
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.verifier_unavailable, 1U);
  EXPECT_NE(stats.verifier_problem.find("SHA-256"), std::string::npos) << stats.verifier_problem;
  options_.verifier_path.clear();
  ASSERT_TRUE(cache_->set_options(options_));
  EXPECT_EQ(cache_->stats().decision, DecisionPolicy::kAdaptive) << "without one, by choice";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace enhanced_gptcache
