#include "enhanced_gptcache/tau_manager.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "match/state_bytes.h"

namespace enhanced_gptcache {
namespace {

using enum TauOutcome;

TEST(TauManager, StartsAtInitialAndSaysSo) {
  const TauManager taus;
  EXPECT_DOUBLE_EQ(taus.tau("anyone").tau, 0.85);
  EXPECT_STREQ(taus.tau("anyone").source, "initial");
  EXPECT_DOUBLE_EQ(taus.global_tau(), 0.85);
  EXPECT_EQ(taus.users(), 0U);
}

TEST(TauManager, EachOutcomeMovesByItsStep) {
  TauManager taus;
  EXPECT_NEAR(taus.update("a", kFalseHit), 0.86, 1e-12);
  EXPECT_NEAR(taus.update("a", kConfirmedHit), 0.86 - 0.01 * 0.02 / 0.98, 1e-12);
  EXPECT_NEAR(taus.update("a", kLostHit), 0.85 - 0.01 * 0.02 / 0.98, 1e-12);
  EXPECT_STREQ(taus.tau("a").source, "user");
  EXPECT_STREQ(taus.tau("b").source, "initial");
  EXPECT_DOUBLE_EQ(taus.tau("b").tau, 0.85);
  EXPECT_EQ(taus.updates(), 3U);
  EXPECT_EQ(taus.users(), 1U);
}

TEST(TauManager, StaysInsideTheLimits) {
  TauManager taus;
  for (int i = 0; i < 50; ++i) taus.update("strict", kFalseHit);
  for (int i = 0; i < 50; ++i) taus.update("lax", kLostHit);
  EXPECT_DOUBLE_EQ(taus.tau("strict").tau, 0.99);
  EXPECT_DOUBLE_EQ(taus.tau("lax").tau, 0.65);
}

TEST(TauManager, OffMeansTheFloorAndLearnsNothing) {
  TauOptions options;
  options.enabled = false;
  options.tau_min = 0.7;
  TauManager taus(options);
  EXPECT_DOUBLE_EQ(taus.update("a", kFalseHit), 0.7);
  EXPECT_DOUBLE_EQ(taus.tau("a").tau, 0.7);
  EXPECT_STREQ(taus.tau("a").source, "off");
  EXPECT_EQ(taus.updates(), 0U);
  options.enabled = true;
  taus.set_options(options);
  EXPECT_STREQ(taus.tau("a").source, "initial");
}

TEST(TauManager, NewOptionsClampWhatWasLearned) {
  TauManager taus;
  for (int i = 0; i < 50; ++i) taus.update("lax", kLostHit);
  TauOptions options;
  options.tau_min = 0.8;
  taus.set_options(options);
  EXPECT_DOUBLE_EQ(taus.tau("lax").tau, 0.8);
  options.tau_min = 0.5;
  options.tau_max = 0.6;
  taus.set_options(options);
  EXPECT_DOUBLE_EQ(taus.tau("lax").tau, 0.6);
  EXPECT_DOUBLE_EQ(taus.tau("new").tau, 0.6);
}

TEST(TauManager, NonsenseOptionsDoNoHarm) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  TauOptions options;
  options.initial_tau = nan;
  options.learning_rate = nan;
  options.tau_min = -3;
  options.tau_max = nan;
  options.target_error_rate = 7;
  options.num_users = 0;
  options.aggregation_frequency = 0;
  TauManager taus(options);
  for (int i = 0; i < 20; ++i) {
    const double tau = taus.update("a", i % 2 == 0 ? kFalseHit : kConfirmedHit);
    ASSERT_TRUE(tau >= 0 && tau <= 1) << tau;
  }
  options = TauOptions();
  options.tau_min = 0.9;
  options.tau_max = 0.5;  // crossed: one value is left
  taus.set_options(options);
  EXPECT_DOUBLE_EQ(taus.tau("a").tau, 0.9);
}

/// A user for whom hits above `needed` similarity are right and others wrong, with similarities
/// uniform in 0.6..1: after many labels the share of false hits is near the target.
TEST(TauManager, SettlesNearTheTargetErrorRate) {
  TauOptions options;
  options.target_error_rate = 0.05;
  options.aggregation_frequency = 1'000'000;
  TauManager taus(options);
  std::mt19937 random(3);
  std::uniform_real_distribution<double> similarity(0.6, 1.0);
  std::uniform_real_distribution<double> chance(0, 1);
  int hits = 0;
  int wrong = 0;
  for (int i = 0; i < 60'000; ++i) {
    const double s = similarity(random);
    const double tau = taus.tau("u").tau;
    if (s < tau) continue;
    // The chance of a wrong answer falls from 40 % at 0.6 to none at 1.
    const bool right = chance(random) > 1.0 - s;
    taus.update("u", right ? kConfirmedHit : kFalseHit);
    if (i < 30'000) continue;
    ++hits;
    wrong += right ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(wrong) / hits, 0.05, 0.01);
}

TEST(TauManager, NewUsersStartFromTheAggregate) {
  TauManager taus;
  for (int i = 0; i < 100; ++i) taus.update("user" + std::to_string(i % 7), kFalseHit);
  EXPECT_EQ(taus.aggregations(), 1U);
  EXPECT_STREQ(taus.tau("new").source, "global");
  // Everybody is far above 0.86 by now, but a round moves by one learning rate at most.
  EXPECT_NEAR(taus.tau("new").tau, 0.86, 1e-12);
  EXPECT_NEAR(taus.update("new", kFalseHit), 0.87, 1e-12);
}

/// Thirty of a hundred clients always report the worst, ten times as often as the others.
double global_after_attack(TauOutcome attack) {
  TauManager taus;
  std::mt19937 random(11);
  std::vector<double> settled(100, 0.85);
  for (int i = 0; i < 60'000; ++i) {
    const bool poisoned = random() % 10 < 8;
    const unsigned client = poisoned ? random() % 30 : 30 + random() % 70;
    const std::string name = "client" + std::to_string(client);
    if (poisoned) {
      taus.update(name, attack);
    } else {
      // Honest taus hover about 0.80.
      taus.update(name, taus.tau(name).tau < 0.80 ? kFalseHit : kLostHit);
    }
  }
  return taus.global_tau();
}

TEST(TauManager, APoisonedMinorityDoesNotMoveTheGlobalTauFar) {
  EXPECT_NEAR(global_after_attack(kConfirmedHit), 0.80, 0.04);
  EXPECT_NEAR(global_after_attack(kFalseHit), 0.80, 0.04);
  EXPECT_NEAR(global_after_attack(kLostHit), 0.80, 0.04);
}

TEST(TauManager, IsDeterministic) {
  TauManager one;
  TauManager two;
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    const std::string user = "u" + std::to_string(random() % 40);
    const auto outcome = static_cast<TauOutcome>(random() % 3);
    ASSERT_EQ(one.update(user, outcome), two.update(user, outcome));
    ASSERT_EQ(one.global_tau(), two.global_tau());
  }
  EXPECT_EQ(one.serialise(), two.serialise());
}

TEST(TauManager, UsersAreCappedLeastRecentFirst) {
  TauManager taus;
  taus.update("first", kFalseHit);
  taus.update("second", kFalseHit);
  taus.update("first", kFalseHit);
  for (int i = 0; i < 99'999; ++i) taus.update("u" + std::to_string(i), kConfirmedHit);
  EXPECT_EQ(taus.users(), 100'000U);
  EXPECT_STRNE(taus.tau("second").source, "user");
  EXPECT_STREQ(taus.tau("first").source, "user");
  EXPECT_STREQ(taus.tau("u99998").source, "user");
}

TEST(TauManager, ATenantsLabelsReachNoOtherTenant) {
  TauManager taus;
  for (int i = 0; i < 20'000; ++i) taus.update("u" + std::to_string(i % 40), kLostHit, "loud");
  EXPECT_LT(taus.tau("new", "loud").tau, 0.70);
  EXPECT_STREQ(taus.tau("new", "loud").source, "global");
  EXPECT_EQ(taus.tau("new", "quiet").tau, 0.85);
  EXPECT_STREQ(taus.tau("new", "quiet").source, "initial");
  EXPECT_STREQ(taus.tau("u0", "quiet").source, "initial") << "the same name is another user there";
  EXPECT_NEAR(taus.update("first", kFalseHit, "quiet"), 0.86, 1e-12);
}

TEST(TauManager, ManyTenantsDoNotPushOutOneThatHasLearned) {
  TauManager taus;
  for (int i = 0; i < 5; ++i) taus.update("a", kFalseHit, "known");
  for (int i = 0; i < 5000; ++i) taus.update("x", kFalseHit, "made up " + std::to_string(i));
  EXPECT_NEAR(taus.tau("a", "known").tau, 0.90, 1e-12);
  EXPECT_LE(taus.users(), 4096U);
  EXPECT_EQ(taus.listing(10'000).newest.size(), taus.users());
}

TEST(TauManager, ATenantsManyUsersDoNotPushOutThoseOfAnother) {
  TauManager taus;
  taus.update("a", kFalseHit, "small");
  for (int i = 0; i < 100'100; ++i) taus.update("u" + std::to_string(i), kConfirmedHit, "large");
  EXPECT_EQ(taus.users(), 100'000U);
  EXPECT_STREQ(taus.tau("a", "small").source, "user");
}

TEST(TauManager, TenantsSurviveARoundTrip) {
  TauManager taus;
  for (int i = 0; i < 900; ++i)
    taus.update("u" + std::to_string(i % 13), i % 3 == 0 ? kLostHit : kConfirmedHit,
                "t" + std::to_string(i % 3));
  const std::string bytes = taus.serialise();
  TauManager other;
  ASSERT_TRUE(other.restore(bytes).has_value());
  EXPECT_EQ(other.serialise(), bytes);
  for (const char* tenant : {"t0", "t1", "t2", "t3"}) {
    EXPECT_EQ(other.tau("u3", tenant).tau, taus.tau("u3", tenant).tau);
    EXPECT_EQ(other.tau("new", tenant).tau, taus.tau("new", tenant).tau);
    EXPECT_EQ(other.update("u5", kFalseHit, tenant), taus.update("u5", kFalseHit, tenant));
  }
}

/// Bytes of the first version: one list of users and one start for the new ones of all tenants.
TEST(TauManager, StateFromBeforeThereWereTenantsKeepsItsUsers) {
  match::StateWriter writer("EGPTCTAU", 1);
  writer.put(uint64_t{300});
  writer.put(uint64_t{3});
  writer.put(0.66);  // of all tenants together, perhaps poisoned
  writer.put(uint64_t{2});
  for (const auto& [name, tau] : {std::pair{"anna", 0.91}, std::pair{"bob", 0.80}}) {
    writer.put_string(name);
    writer.put(tau);
    writer.put(uint64_t{7});
    writer.put(uint64_t{200});
  }
  TauManager taus;
  ASSERT_TRUE(taus.restore(std::move(writer).finish()).has_value());
  EXPECT_EQ(taus.users(), 2U);
  EXPECT_EQ(taus.tau("new", "acme").tau, 0.85);
  EXPECT_DOUBLE_EQ(taus.tau("anna", "acme").tau, 0.91);
  EXPECT_STREQ(taus.tau("anna", "acme").source, "user");
  TauManager again;
  ASSERT_TRUE(again.restore(taus.serialise()).has_value());
  EXPECT_NEAR(again.update("anna", kFalseHit, "acme"), 0.92, 1e-12) << "learning goes on where it was";
  EXPECT_EQ(again.users(), 2U);
  EXPECT_TRUE(again.forget("anna"));
  EXPECT_TRUE(again.forget("bob"));
  EXPECT_EQ(again.users(), 0U);
}

TEST(TauManager, LongNamesAreUsersToo) {
  TauManager taus;
  const std::string a(5000, 'x');
  const std::string b = a + "y";
  taus.update(a, kFalseHit);
  EXPECT_STREQ(taus.tau(a).source, "user");
  EXPECT_STREQ(taus.tau(b).source, "initial");
  EXPECT_LT(taus.serialise().size(), 500U);
}

TEST(TauManager, ForgetErasesOneUser) {
  TauManager taus;
  taus.update("a", kFalseHit);
  taus.update("b", kFalseHit);
  EXPECT_TRUE(taus.forget("a"));
  EXPECT_FALSE(taus.forget("a"));
  EXPECT_STREQ(taus.tau("a").source, "initial");
  EXPECT_STREQ(taus.tau("b").source, "user");
  EXPECT_EQ(taus.users(), 1U);
}

TEST(TauManager, StateSurvivesARoundTrip) {
  TauManager taus;
  for (int i = 0; i < 1234; ++i)
    taus.update("u" + std::to_string(i % 31), i % 3 == 0 ? kFalseHit : kConfirmedHit);
  const std::string bytes = taus.serialise();
  TauManager other;
  other.update("someone", kFalseHit);
  ASSERT_TRUE(other.restore(bytes).has_value());
  EXPECT_EQ(other.serialise(), bytes);
  EXPECT_STRNE(other.tau("someone").source, "user");
  EXPECT_EQ(other.tau("u3").tau, taus.tau("u3").tau);
  EXPECT_EQ(other.global_tau(), taus.global_tau());
  EXPECT_EQ(other.update("u3", kFalseHit), taus.update("u3", kFalseHit));
}

TEST(TauManager, DamagedStateIsRefusedAndChangesNothing) {
  TauManager source;
  for (int i = 0; i < 120; ++i) source.update("u" + std::to_string(i % 4), kFalseHit);
  const std::string bytes = source.serialise();
  TauManager taus;
  taus.update("mine", kFalseHit);
  const std::string before = taus.serialise();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto result = taus.restore(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(result.has_value());
    ASSERT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string altered = bytes;
    altered[at] = static_cast<char>(altered[at] ^ 0x20);
    ASSERT_FALSE(taus.restore(altered).has_value());
  }
  EXPECT_FALSE(taus.restore(bytes + "x").has_value());
  EXPECT_EQ(taus.serialise(), before);
}

TEST(TauManager, TheGuidesNames) {
  TauManager taus;
  taus.update_threshold(true, true);
  EXPECT_LT(taus.current_threshold(), 0.85);
  taus.update_threshold(true, false);
  EXPECT_GT(taus.current_threshold(), 0.859);
  taus.update_threshold(false, false);
  EXPECT_LT(taus.current_threshold(), 0.85);
  const double before = taus.current_threshold();
  taus.update_threshold(false, true);
  EXPECT_EQ(taus.current_threshold(), before);
}

TEST(TauManager, ReadersRunBesideUpdatesErasuresAndOptions) {
  TauManager taus;
  std::atomic<bool> stop{false};
  std::atomic<int> outside{0};
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937 random(r);
      do {
        const double tau = taus.tau("u" + std::to_string(random() % 300)).tau;
        if (!(tau >= 0.6 && tau <= 1.0)) outside.fetch_add(1);
      } while (!stop.load(std::memory_order_relaxed));
    });
  }
  std::mt19937 random(77);
  for (int i = 0; i < 20'000; ++i) {
    const std::string user = "u" + std::to_string(random() % 300);
    if (random() % 8 == 0)
      taus.forget(user);
    else
      taus.update(user, static_cast<TauOutcome>(random() % 3));
    if (i % 5000 == 0) taus.set_options(TauOptions());
  }
  const std::string bytes = taus.serialise();
  ASSERT_TRUE(taus.restore(bytes).has_value());
  stop.store(true);
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(outside.load(), 0);
  EXPECT_TRUE(base::epoch_drain(10'000));
}

TEST(TauManager, ListsTheNewestUsersAndEveryRound) {
  TauOptions options;
  options.aggregation_frequency = 2;
  TauManager taus(options);
  EXPECT_TRUE(taus.listing(10).newest.empty());
  EXPECT_FALSE(taus.listing(10).is_learned);
  for (const char* user : {"a", "b", "a", "c"}) taus.update(user, kFalseHit);

  const TauListing listing = taus.listing(2);
  ASSERT_EQ(listing.newest.size(), 2U);
  EXPECT_EQ(listing.newest[0].name, "c");
  EXPECT_EQ(listing.newest[0].last_update, 4U);
  EXPECT_EQ(listing.newest[1].name, "a");
  EXPECT_EQ(listing.newest[1].samples, 2U);
  EXPECT_NEAR(listing.newest[1].tau, 0.87, 1e-12);
  EXPECT_EQ(listing.users, 3U);
  EXPECT_TRUE(listing.is_learned);
  ASSERT_EQ(listing.rounds.size(), 2U);
  EXPECT_EQ(listing.rounds[0].number, 1U);
  EXPECT_EQ(listing.rounds[0].users, 2U);
  EXPECT_DOUBLE_EQ(listing.rounds[0].from, 0.85);
  EXPECT_NEAR(listing.rounds[0].combined, 0.86, 1e-12);
  EXPECT_DOUBLE_EQ(listing.rounds[1].to, listing.global);
  EXPECT_GT(listing.rounds[1].at_ms, 0);
}

TEST(TauManager, ForgetsTheOldestRounds) {
  TauOptions options;
  options.aggregation_frequency = 1;
  TauManager taus(options);
  for (size_t i = 0; i < kTauRoundsKept + 5; ++i) taus.update("a", kFalseHit);
  const TauListing listing = taus.listing(0);
  EXPECT_TRUE(listing.newest.empty());
  ASSERT_EQ(listing.rounds.size(), kTauRoundsKept);
  EXPECT_EQ(listing.rounds.front().number, 6U);
  EXPECT_EQ(listing.rounds.back().number, kTauRoundsKept + 5);
}

}  // namespace
}  // namespace enhanced_gptcache
