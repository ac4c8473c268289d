#include "store/entry_log.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/clock.h"
#include "fakes/fake_entry_table.h"
#include "store/stored_samples.h"

namespace enhanced_gptcache::store {
namespace {

class EntryLogTest : public testing::Test {
 protected:
  static EntryLogOptions quick() {
    EntryLogOptions options;
    options.linger_ms = 1;
    options.retry_interval_ms = 5;
    options.sync_interval_ms = 5;
    options.settle_interval_ms = 20;
    return options;
  }
  void start(const EntryLogOptions& options, bool needs_replacing = false) {
    log_ = std::make_unique<EntryLog>(std::make_unique<fakes::FakeEntryTable>(disk_), options);
    log_->start([this](const EntryLog::Relief& relief) { return refill(relief); }, needs_replacing);
  }
  Result<void> refill(const EntryLog::Relief& relief) {
    ++refills_;
    for (uint64_t n = 0; n < refilled_; ++n) {
      log_->put(sample_put(n, 9, refilled_bytes_));
      if (auto done = relief(); !done) return done;
      if (fails_at_ == n && refills_ == 1) (is_full_then_ ? disk_->is_full : disk_->is_damaged) = true;
    }
    return {};
  }
  /// Waits for what another thread does; the limit only ends a test that would fail.
  static bool eventually(const std::function<bool()>& is_true) {
    for (int i = 0; i < 5000; ++i) {
      if (is_true()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
  std::unique_ptr<EntryLog> log_;
  std::atomic<int> refills_{0};
  uint64_t refilled_ = 3;
  size_t refilled_bytes_ = 0;
  uint64_t fails_at_ = UINT64_MAX;  // the first time
  bool is_full_then_ = false;       // else damaged
};

TEST_F(EntryLogTest, WritesInOrderAndCommits) {
  start(quick());
  log_->put(sample_put(1, 1));
  log_->put(sample_put(1, 2));
  log_->put(sample_put(2, 1));
  log_->put(sample_removal(2));
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(disk_->size(), 1U);
  EXPECT_EQ(EntryView::trusted(disk_->rows[sample_key(1)].bytes).text(EntryText::kText), sample_answer(1, 2));
  const LogStats stats = log_->stats();
  EXPECT_EQ(stats.stored, 3U);
  EXPECT_EQ(stats.removed, 1U);
  EXPECT_EQ(stats.waiting + stats.waiting_bytes, 0U);
}

TEST_F(EntryLogTest, NobodyNeedsToWaitForThem) {
  start(quick());
  log_->put(sample_put(1, 1));
  EXPECT_TRUE(eventually([&] { return disk_->size() == 1; }));
  EXPECT_TRUE(eventually([&] { return disk_->syncs > 0 && disk_->settles > 0; }));
}

TEST_F(EntryLogTest, WhatConcernsTheWholeTableComesAfterWhatWaits) {
  start(quick());
  const base::Hash128 key = sample_key(1);
  log_->put(sample_put(1, 1));
  EXPECT_TRUE(log_->purge({&key, 1}));
  EXPECT_EQ(disk_->size(), 1U) << "what was put before is in the table";
  EXPECT_EQ(disk_->purges, 1);
  log_->put(sample_put(2, 1));
  EXPECT_TRUE(log_->finish_reseal(key));
  EXPECT_EQ(disk_->size(), 2U);
  log_->put(sample_put(3, 1));
  EXPECT_EQ(log_->checkpoint("somewhere").error().code, ErrorCode::kUnsupported) << "the table's own word";
  EXPECT_EQ(disk_->size(), 3U);
  disk_->is_full = true;
  log_->put(sample_put(4, 1));
  EXPECT_EQ(log_->purge({&key, 1}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(log_->finish_reseal(key).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(log_->checkpoint("somewhere").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(disk_->purges, 1) << "a copy or a purge without it would be wrong";
}

TEST_F(EntryLogTest, CommitsShareOneSync) {
  EntryLogOptions options = quick();
  options.sync = SyncMode::kAlways;
  options.sync_interval_ms = 60'000;
  start(options);
  constexpr int kCallers = 200;
  std::atomic<int> answered{0};
  for (int i = 0; i < kCallers; ++i) {
    log_->put(sample_put(static_cast<uint64_t>(i), 1));
    log_->commit([&](Result<void> done) { answered += done ? 1 : 0; });
  }
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(answered, kCallers);
  EXPECT_GE(disk_->syncs, 1);
  EXPECT_LE(disk_->syncs, disk_->writes.load() + 1);
}

TEST_F(EntryLogTest, ACommitWithoutChangesStillSyncsEarlierOnes) {
  EntryLogOptions options = quick();
  options.sync = SyncMode::kAlways;
  options.sync_interval_ms = 60'000;
  start(options);
  log_->put(sample_put(1, 1));
  ASSERT_TRUE(eventually([&] { return disk_->size() == 1; }));
  EXPECT_EQ(disk_->syncs, 0);
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(disk_->syncs, 1);
}

TEST_F(EntryLogTest, AFullDiskRefusesKeepsWhatWaitsAndRecovers) {
  start(quick());
  disk_->is_full = true;
  EXPECT_TRUE(log_->accepts());
  log_->put(sample_put(1, 1));
  const auto refused = log_->commit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(eventually([&] { return !log_->accepts(); }));
  EXPECT_NE(log_->refusal().message.find("no space left"), std::string::npos);
  log_->put(sample_removal(7));
  EXPECT_FALSE(log_->commit());
  EXPECT_TRUE(log_->stats().is_failing);
  EXPECT_EQ(log_->stats().waiting, 2U);
  disk_->is_full = false;
  ASSERT_TRUE(eventually([&] { return log_->accepts(); }));
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(disk_->size(), 1U);
  const LogStats stats = log_->stats();
  EXPECT_FALSE(stats.is_failing);
  EXPECT_TRUE(stats.problem.empty());
  EXPECT_GE(stats.errors, 1U);
  EXPECT_EQ(stats.waiting + stats.waiting_bytes, 0U);
}

TEST_F(EntryLogTest, AnIdleLogRecoversToo) {
  EntryLogOptions options = quick();
  start(options);
  log_->put(sample_put(1, 1));
  ASSERT_TRUE(log_->commit());
  disk_->is_full = true;
  ASSERT_TRUE(eventually([&] { return !log_->accepts(); })) << "the interval sync fails";
  disk_->is_full = false;
  EXPECT_TRUE(eventually([&] { return log_->accepts(); }));
}

TEST_F(EntryLogTest, AnErrorOfThePastIsMendedBeforeAnybodyIsTold) {
  EntryLogOptions options = quick();
  options.settle_interval_ms = options.sync_interval_ms = 60'000;
  options.retry_interval_ms = 0;
  start(options);
  for (uint64_t n = 1; n <= 3; ++n) {
    disk_->keeps_error = true;
    log_->put(sample_put(n, 1));
    const auto done = log_->commit();
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_TRUE(log_->accepts());
  }
  EXPECT_EQ(disk_->size(), 3U);
  EXPECT_EQ(disk_->recoveries, 3);
  EXPECT_EQ(log_->stats().errors, 3U) << "it is counted all the same";
  EXPECT_FALSE(log_->stats().is_failing);
}

TEST_F(EntryLogTest, MovingTheLogIntoFilesMendsItToo) {
  start(quick());
  log_->put(sample_put(1, 1));
  ASSERT_TRUE(log_->commit());
  disk_->keeps_error = true;
  ASSERT_TRUE(eventually([&] { return disk_->recoveries > 0; })) << "nobody waits for anything";
  EXPECT_TRUE(log_->accepts());
  EXPECT_FALSE(log_->stats().is_failing);
}

TEST_F(EntryLogTest, OneRecoveryAnInterval) {
  EntryLogOptions options = quick();
  options.settle_interval_ms = options.sync_interval_ms = options.retry_interval_ms = 600'000;
  if (base::system_clock().mono_us() < options.retry_interval_ms * 1000) GTEST_SKIP() << "a fresh machine";
  start(options);
  disk_->keeps_error = true;
  log_->put(sample_put(1, 1));
  EXPECT_TRUE(log_->commit());
  disk_->keeps_error = true;
  log_->put(sample_put(2, 1));
  EXPECT_FALSE(log_->commit()) << "a disk that fails again at once is failing";
  EXPECT_TRUE(eventually([&] { return !log_->accepts(); }));
  EXPECT_EQ(disk_->recoveries, 1);
}

TEST_F(EntryLogTest, WhatAnotherThreadFindsIsMendedByTheLogs) {
  EntryLogOptions options = quick();
  options.settle_interval_ms = options.sync_interval_ms = 60'000;
  options.retry_interval_ms = 0;
  start(options);
  const base::Hash128 key = sample_key(1);
  disk_->keeps_error = true;
  EXPECT_TRUE(log_->purge({&key, 1}));
  disk_->keeps_error = true;
  EXPECT_TRUE(log_->finish_reseal(key));
  EXPECT_EQ(disk_->recoveries, 2);
  disk_->is_full = true;
  EXPECT_EQ(log_->purge({&key, 1}).error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(eventually([&] { return log_->stats().is_failing; })) << "a full disk is still refused";
}

TEST_F(EntryLogTest, ADamagedTableIsWrittenAgainFromMemory) {
  start(quick());
  log_->put(sample_put(8, 1));
  ASSERT_TRUE(log_->commit());
  disk_->is_damaged = true;
  log_->put(sample_put(8, 2));
  EXPECT_FALSE(log_->commit());
  ASSERT_TRUE(eventually([&] { return refills_ == 1 && log_->accepts(); }));
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(disk_->size(), 3U) << "what the refill gave, and nothing else";
  EXPECT_EQ(log_->stats().replacements, 1U);
  EXPECT_EQ(log_->stats().waiting_bytes, 0U);
}

TEST_F(EntryLogTest, WhatLoadingFoundBrokenIsReplacedFirst) {
  start(quick(), true);
  ASSERT_TRUE(eventually([&] { return disk_->size() == 3; }));
  EXPECT_EQ(disk_->replacements, 1);
}

TEST_F(EntryLogTest, ALargeRefillIsWrittenInParts) {
  refilled_ = 40;
  refilled_bytes_ = size_t{1} << 20U;
  start(quick(), true);
  ASSERT_TRUE(eventually([&] { return disk_->size() == 40; }));
  EXPECT_LE(disk_->largest_batch, 9);
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(refills_, 1);
  EXPECT_EQ(log_->stats().waiting_bytes, 0U);
}

TEST_F(EntryLogTest, ARefillIntoATableThatIsDamagedBeginsAgain) {
  refilled_ = 40;
  refilled_bytes_ = size_t{1} << 20U;
  fails_at_ = 20;
  start(quick(), true);
  ASSERT_TRUE(eventually([&] { return disk_->size() == 40 && log_->accepts(); }));
  ASSERT_TRUE(log_->commit());
  EXPECT_EQ(refills_, 2);
  EXPECT_EQ(log_->stats().replacements, 2U);
  EXPECT_EQ(log_->stats().waiting_bytes, 0U);
}

TEST_F(EntryLogTest, ARefillOntoAFullDiskGoesOnInTheSameTable) {
  refilled_ = 40;
  refilled_bytes_ = size_t{1} << 20U;
  fails_at_ = 20;
  is_full_then_ = true;
  start(quick(), true);
  ASSERT_TRUE(eventually([&] { return log_->stats().is_failing; }));
  disk_->is_full = false;
  ASSERT_TRUE(eventually([&] { return disk_->size() == 40 && log_->accepts(); }));
  ASSERT_TRUE(log_->commit());
  EXPECT_GE(refills_, 2);
  EXPECT_EQ(log_->stats().replacements, 1U) << "what was put aside stays where it is";
  EXPECT_EQ(log_->stats().waiting_bytes, 0U);
}

TEST_F(EntryLogTest, AFullQueueIsOverloaded) {
  EntryLogOptions options = quick();
  options.queue_changes_max = 2;
  options.linger_ms = 60'000;
  start(options);
  log_->put(sample_put(1, 1));
  EXPECT_TRUE(log_->accepts());
  log_->put(sample_put(2, 1));
  EXPECT_FALSE(log_->accepts());
  EXPECT_EQ(log_->refusal().code, ErrorCode::kOverloaded);
  ASSERT_TRUE(log_->commit());
  EXPECT_TRUE(log_->accepts());
}

TEST_F(EntryLogTest, TheEndWritesWhatWaits) {
  EntryLogOptions options = quick();
  options.linger_ms = 60'000;
  start(options);
  log_->put(sample_put(1, 1));
  log_.reset();
  EXPECT_EQ(disk_->size(), 1U);
  EXPECT_GE(disk_->syncs, 1);
}

TEST_F(EntryLogTest, WhoWaitsAtTheEndOfAFailingDiskIsTold) {
  EntryLogOptions options = quick();
  start(options);
  disk_->is_full = true;
  std::atomic<int> refused{0};
  log_->put(sample_put(1, 1));
  log_->commit([&](Result<void> done) { refused += done ? 0 : 1; });
  log_.reset();
  EXPECT_EQ(refused, 1);
}

}  // namespace
}  // namespace enhanced_gptcache::store
