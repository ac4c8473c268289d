#include "cache/learning.h"

#include <limits>

#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kStored = "How do I restart the printer in room four?";
constexpr std::string_view kParaphrase = "How can I restart the printer in room four?";

class LearningTest : public CacheTest {
 protected:
  LearningTest() {
    Options options = options_of_tests();
    options.decision = DecisionPolicy::kAdaptive;
    reopen(options);
    id_ = put(prompt(kStored), "a");
  }
  uint64_t sum(uint64_t (*count)(const LabelBin&)) const {
    uint64_t total = 0;
    for (const LabelBin& bin : cache_->learning(0).labels) total += count(bin);
    return total;
  }
  uint64_t right() const {
    return sum([](const LabelBin& bin) { return bin.right[0]; });
  }
  uint64_t wrong() const {
    return sum([](const LabelBin& bin) { return bin.wrong[0]; });
  }
  uint64_t lost() const {
    return sum([](const LabelBin& bin) { return bin.lost; });
  }

  std::string id_;
};

TEST(LabelScores, BinsCoverAllProbabilities) {
  EXPECT_EQ(LabelScores::bin_of(0), 0U);
  EXPECT_EQ(LabelScores::bin_of(-1), 0U);
  EXPECT_EQ(LabelScores::bin_of(std::numeric_limits<double>::quiet_NaN()), 0U);
  EXPECT_EQ(LabelScores::bin_of(0.755), 75U);
  EXPECT_EQ(LabelScores::bin_of(1), LabelScores::kBins - 1);
  EXPECT_EQ(LabelScores::bin_of(7), LabelScores::kBins - 1);
}

TEST_F(LearningTest, LabelsFallWhereTheirProbabilityWasStated) {
  const Lookup hit = look(prompt(kParaphrase));
  ASSERT_NE(hit.entry, nullptr);
  ASSERT_TRUE(cache_->feedback({.request_id = hit.request_id}));
  const auto bins = cache_->learning(0).labels;
  ASSERT_EQ(bins.size(), LabelScores::kBins);
  EXPECT_EQ(bins[LabelScores::bin_of(hit.probability)].right[0], 1U);
  EXPECT_EQ(right(), 1U);
  EXPECT_EQ(wrong(), 0U);

  ASSERT_TRUE(cache_->feedback({.request_id = look(prompt(kParaphrase)).request_id, .correct = false}));
  EXPECT_EQ(right(), 1U);
  EXPECT_EQ(wrong(), 1U);
}

TEST_F(LearningTest, ALostHitCountsWhenAThresholdLostIt) {
  LookupOptions strict;
  strict.threshold = 0.9999;
  const Lookup missed = look(prompt(kParaphrase), strict);
  ASSERT_TRUE(cache_->feedback({.request_id = missed.request_id, .missed_entry_id = id_}));
  EXPECT_EQ(lost(), 1U);
  // A guard refused: no threshold would have served it.
  const Lookup guarded = look(prompt("How do I restart the printer in room five?"));
  ASSERT_EQ(guarded.reason, MissReason::kGuard);
  ASSERT_TRUE(cache_->feedback({.request_id = guarded.request_id, .missed_entry_id = id_}));
  EXPECT_EQ(lost(), 1U);
}

TEST_F(LearningTest, ExactHitsAndEntriesWithoutADecisionDoNotCount) {
  ASSERT_TRUE(cache_->feedback({.request_id = look(prompt(kStored)).request_id}));
  ASSERT_TRUE(cache_->feedback({.entry_id = id_}));
  EXPECT_EQ(right() + wrong() + lost(), 0U);
}

TEST_F(LearningTest, UsersAreListedUnderPseudonyms) {
  Prompt annas = prompt(kParaphrase);
  annas.user = "anna";
  const UserThreshold before = cache_->threshold_of("local", "anna");
  EXPECT_EQ(before.source, "initial");
  ASSERT_TRUE(cache_->feedback({.request_id = look(annas).request_id, .correct = false}));
  const UserThreshold after = cache_->threshold_of("local", "anna");
  EXPECT_EQ(after.source, "user");
  EXPECT_NEAR(after.tau, before.tau + 0.01, 1e-9);
  const TauListing taus = cache_->learning(10).taus;
  ASSERT_EQ(taus.newest.size(), 1U);
  EXPECT_EQ(taus.newest[0].name, after.name);
  EXPECT_EQ(after.name.find("anna"), std::string::npos);
  EXPECT_EQ(after.name.size(), 32U);
  EXPECT_NE(cache_->threshold_of("other", "anna").name, after.name);
}

TEST_F(LearningTest, EveryCacheOfOursHasIt) {
  EXPECT_EQ(learning_of(*cache_), static_cast<const LearningSource*>(cache_.get()));
}

}  // namespace
}  // namespace enhanced_gptcache::cache
