// What somebody who lies, or posts most, can do to the bar: to other tenants nothing, to the own one no more
// than what the documentation states.

#include "cache/cache_fixture.h"
#include "match/decision.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kStored = "How do I restart the printer in room four?";
constexpr std::string_view kParaphrase = "How can I restart the printer in room four?";
constexpr std::string_view kFar = "What is the boiling point of water at sea level?";

class CachePoisoningTest : public CacheTest {
 protected:
  CachePoisoningTest() {
    Options options = options_of_tests();
    options.decision = DecisionPolicy::kAdaptive;
    options.tau.aggregation_frequency = 10;
    reopen(options);
    id_ = put(of("mallory", ""), "a");
  }
  static Prompt of(std::string_view tenant, std::string_view user, std::string_view query = kStored) {
    Prompt prompt = make_prompt(query, {});
    prompt.tenant = tenant;
    prompt.user = user;
    return prompt;
  }
  double tau_of(std::string_view tenant, std::string_view user) const {
    return cache_->threshold_of(tenant, user).tau;
  }
  std::string source_of(std::string_view tenant, std::string_view user) const {
    return cache_->threshold_of(tenant, user).source;
  }
  /// How much lower the verified bar of this user is than the calibrated one, in log odds.
  double loosened_by(std::string_view user) const {
    match::Policy policy;
    policy.tau = tau_of("mallory", user);
    return -match::tau_shift(policy);
  }
  void expect_others_unmoved() const {
    for (const char* user : {"", "anna"}) {
      EXPECT_EQ(tau_of("acme", user), 0.85);
      EXPECT_EQ(source_of("acme", user), "initial");
    }
  }

  std::string id_;
};

TEST_F(CachePoisoningTest, ThousandsOfConfirmationsByEntryIdMoveNothing) {
  for (int i = 0; i < 3000; ++i) {
    const auto told =
        cache_->feedback({.tenant = "mallory", .entry_id = id_, .user = "u" + std::to_string(i % 40)});
    ASSERT_EQ(told->action, "none");
  }
  EXPECT_EQ(tau_of("mallory", "u0"), 0.85);
  EXPECT_EQ(tau_of("mallory", "new"), 0.85);
  EXPECT_EQ(cache_->stats().labels_right[0], 0U);
  expect_others_unmoved();
}

TEST_F(CachePoisoningTest, OneHitIsJudgedOnceHoweverOftenItIsReported) {
  const Lookup hit = look(of("mallory", "u", kParaphrase));
  ASSERT_NE(hit.entry, nullptr);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(cache_->feedback({.tenant = "mallory", .request_id = hit.request_id, .user = "u"}));
    ASSERT_TRUE(cache_->feedback({.tenant = "mallory", .entry_id = id_, .user = "u"}));
  }
  EXPECT_EQ(cache_->learning(1).taus.updates, 1U);
  EXPECT_GT(tau_of("mallory", "u"), 0.8497);
  EXPECT_EQ(cache_->stats().labels_right[0], 1U);
  expect_others_unmoved();
}

TEST_F(CachePoisoningTest, FortySubjectsOfOneKeyStayInsideTheBoundAndInsideTheirTenant) {
  for (int i = 0; i < 4000; ++i) {
    const std::string user = "u" + std::to_string(i % 40);
    const Lookup hit = look(of("mallory", user, kParaphrase));
    if (hit.entry == nullptr) continue;
    ASSERT_EQ(cache_->feedback({.tenant = "mallory", .request_id = hit.request_id, .user = user})->action,
              "confirmed");
  }
  EXPECT_LT(tau_of("mallory", "new"), 0.85) << "these were true labels: they count in their own tenant";
  for (const char* user : {"u0", "u39", "new"}) EXPECT_LE(loosened_by(user), match::kTauLoosenMax);
  expect_others_unmoved();
}

TEST_F(CachePoisoningTest, LostHitsThatWereNoneMoveNothing) {
  for (int i = 0; i < 500; ++i) {
    const Lookup missed = look(of("mallory", "u", kFar));
    ASSERT_EQ(missed.entry, nullptr);
    const auto told =
        cache_->feedback({.tenant = "mallory", .request_id = missed.request_id, .missed_entry_id = id_});
    ASSERT_EQ(told->action, "none");
  }
  EXPECT_EQ(tau_of("mallory", "u"), 0.85);
  expect_others_unmoved();
}

/// Three of ten users say the opposite of the truth about every answer, five times as often as the others.
TEST_F(CachePoisoningTest, LiarsAmongTheUsersOfATenant) {
  LookupOptions strict;
  strict.threshold = 0.9999;
  for (int round = 0; round < 300; ++round) {
    for (int user = 0; user < 10; ++user) {
      const std::string name = "u" + std::to_string(user);
      const bool is_liar = user < 3;
      for (int i = 0; i < (is_liar ? 5 : 1); ++i) {
        const Lookup got = look(of("mallory", name, kParaphrase), is_liar ? strict : LookupOptions());
        Feedback feedback{.tenant = "mallory", .request_id = got.request_id, .user = name};
        if (got.entry == nullptr) feedback.missed_entry_id = id_;
        ASSERT_TRUE(cache_->feedback(feedback));
      }
    }
  }
  EXPECT_EQ(tau_of("mallory", "u0"), 0.65) << "a liar has only its own tau to ruin";
  // The others confirm what is right, which lowers a tau by two in ten thousand each, 0.06 in all; the liars
  // add little more than one round, 0.01, before the others were heard.
  EXPECT_GT(tau_of("mallory", "u9"), 0.77);
  EXPECT_GT(tau_of("mallory", "new"), 0.77);
  EXPECT_LE(loosened_by("u0"), match::kTauLoosenMax);
  expect_others_unmoved();
}

}  // namespace
}  // namespace enhanced_gptcache::cache
