#include "cache/budgets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cache/learned_state.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr double kTarget = 0.1;
constexpr base::Hash128 kTenant{1, 2};
constexpr base::Hash128 kOther{3, 4};
constexpr base::Hash128 kPlace{5, 6};

BudgetLabel label(const base::Hash128& tenant, bool correct, double logit = 4, uint64_t entry = 77) {
  return {tenant, kPlace, entry, logit, correct, LabelSource::kFeedback};
}
void teach(Budgets& budgets, const base::Hash128& tenant, bool correct, int times) {
  for (int i = 0; i < times; ++i) budgets.label(label(tenant, correct), kTarget);
}

TEST(Budgets, OneTenantsLabelsDoNotMoveAnother) {
  Budgets budgets;
  teach(budgets, kTenant, false, 30);
  teach(budgets, kOther, true, 1);
  EXPECT_GT(budgets.tenant_shift(kTenant), 1);
  EXPECT_GT(budgets.partition_shift(kTenant, kPlace), 0);
  EXPECT_GT(budgets.entry_shift(kTenant, 77), 0);
  EXPECT_LE(budgets.tenant_shift(kOther), 0);
  EXPECT_EQ(budgets.partition_shift(kOther, kPlace), 0);
  EXPECT_EQ(budgets.entry_shift(kOther, 77), 0);
  EXPECT_EQ(budgets.tenant_shift({9, 9}), 0);
  const BudgetSummary summary = budgets.summary();
  EXPECT_EQ(summary.tightened, 1U);
  EXPECT_EQ(summary.calibrated + summary.loosened, 1U);
  EXPECT_GT(summary.shift_max, 1);
}

TEST(Budgets, AWrongAnswerMakesItsEntrySuspicious) {
  Budgets budgets;
  teach(budgets, kTenant, true, 50);
  budgets.label(label(kTenant, false, 4, 78), kTarget);
  EXPECT_GT(budgets.entry_shift(kTenant, 78), 1);
  EXPECT_EQ(budgets.entry_shift(kTenant, 77), 0);
  EXPECT_LE(budgets.tenant_shift(kTenant), 0.25);  // one in fifty is within a tenth
}

TEST(Budgets, TenantsAreCappedLeastRecentlyLabelledFirst) {
  Budgets budgets;
  for (uint64_t i = 1; i <= Budgets::kTenantsMax + 1; ++i) budgets.label(label({i, i}, false), kTarget);
  EXPECT_EQ(budgets.view({1, 1}).labels(), 0U);
  EXPECT_EQ(budgets.view({2, 2}).labels(), 1U);
  const BudgetSummary summary = budgets.summary();
  EXPECT_EQ(summary.tightened + summary.calibrated + summary.loosened, Budgets::kTenantsMax);
}

TEST(Budgets, StateSurvivesARoundTrip) {
  Budgets budgets;
  teach(budgets, kTenant, false, 30);
  teach(budgets, kOther, true, 30);
  Budgets again;
  ASSERT_TRUE(again.restore(budgets.serialise(), kTarget));
  EXPECT_EQ(again.tenant_shift(kTenant), budgets.tenant_shift(kTenant));
  EXPECT_EQ(again.tenant_shift(kOther), budgets.tenant_shift(kOther));
  EXPECT_EQ(again.labels(), budgets.labels());
}

TEST(Budgets, DamagedStateIsRefusedAndChangesNothing) {
  Budgets budgets;
  teach(budgets, kTenant, false, 30);
  const std::string good = budgets.serialise();
  Budgets again;
  for (size_t size = 0; size < good.size(); size += 37)
    EXPECT_FALSE(again.restore(good.substr(0, size), kTarget));
  for (size_t at = 0; at < good.size(); at += 41) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    EXPECT_FALSE(again.restore(bad, kTarget)) << at;
  }
  EXPECT_EQ(again.labels(), 0U);
  EXPECT_EQ(again.tenant_shift(kTenant), 0);
}

class LearnedStateTest : public testing::Test {
 protected:
  LearnedStateTest() { std::filesystem::create_directories(folder_); }
  ~LearnedStateTest() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = testing::TempDir() + "egptc_learned_state_test";
  TauManager tau_;
  Budgets budgets_;
};

TEST_F(LearnedStateTest, IsThereAfterARestart) {
  LearnedState state(folder_, tau_, budgets_);
  state.load(kTarget);
  tau_.update("user", TauOutcome::kFalseHit);
  teach(budgets_, kTenant, false, 30);
  state.save();
  TauManager tau;
  Budgets budgets;
  LearnedState(folder_, tau, budgets).load(kTarget);
  EXPECT_EQ(tau.tau("user").tau, tau_.tau("user").tau);
  EXPECT_EQ(budgets.tenant_shift(kTenant), budgets_.tenant_shift(kTenant));
}

TEST_F(LearnedStateTest, ADamagedFileMakesEveryTenantStricterUntilItHasLabels) {
  std::ofstream(folder_ + "/error_budgets.bin") << "no budget";
  std::ofstream(folder_ + "/taus.bin") << "no taus";
  LearnedState state(folder_, tau_, budgets_);
  state.load(kTarget);
  EXPECT_GT(budgets_.tenant_shift(kTenant), 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/error_budgets.bin.damaged"));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/taus.bin.damaged"));
  teach(budgets_, kTenant, true, 5);
  EXPECT_GT(budgets_.tenant_shift(kTenant), 0);
  teach(budgets_, kTenant, true, 30);
  EXPECT_LE(budgets_.tenant_shift(kTenant), 0);
  EXPECT_GT(budgets_.tenant_shift(kOther), 0);
}

TEST_F(LearnedStateTest, AFolderThatCannotBeWrittenIsNoFailure) {
  LearnedState state(folder_ + "/nowhere/at/all", tau_, budgets_);
  state.load(kTarget);
  tau_.update("user", TauOutcome::kFalseHit);
  state.save();
  EXPECT_EQ(tau_.updates(), 1U);
}

}  // namespace
}  // namespace enhanced_gptcache::cache
