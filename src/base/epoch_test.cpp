#include "base/epoch.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <random>
#include <thread>
#include <vector>

namespace enhanced_gptcache::base {
namespace {

constexpr int64_t kDrainMs = 30'000;

/// Counts itself, and lets a reader notice that it looks at freed memory.
struct Block {
  static inline std::atomic<int> alive{0};
  static constexpr uint64_t kAlive = 0x600dULL;
  explicit Block(uint64_t v) : value(v), check(v ^ kAlive) { alive.fetch_add(1); }
  ~Block() {
    check = 0;
    alive.fetch_sub(1);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  uint64_t value;
  uint64_t check;
};

TEST(Epoch, FreesWhenNobodyIsPinned) {
  ASSERT_TRUE(epoch_drain(kDrainMs));
  epoch_retire(new Block(1));
  epoch_retire(std::make_unique<Block>(2));
  epoch_retire(std::unique_ptr<Block>());
  EXPECT_EQ(epoch_stats().backlog_blocks, 2U);
  EXPECT_EQ(epoch_stats().backlog_bytes, 2 * sizeof(Block));
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
  EXPECT_EQ(epoch_stats().backlog_bytes, 0U);
}

TEST(Epoch, OwnPinHoldsWhatIsRetiredUnderIt) {
  {
    const EpochGuard outer;
    {
      const EpochGuard inner;
      epoch_retire(new Block(1));
    }
    EXPECT_EQ(epoch_collect(), 0U);
    EXPECT_EQ(Block::alive.load(), 1);
    EXPECT_FALSE(epoch_drain(1));
  }
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

TEST(Epoch, AnotherThreadsPinHoldsOnlyWhatItCanSee) {
  ASSERT_TRUE(epoch_drain(kDrainMs));
  epoch_retire(new Block(1));  // before the pin: may go while the reader is pinned
  std::barrier step(2);
  std::thread reader([&] {
    const EpochGuard guard;
    step.arrive_and_wait();  // pinned
    step.arrive_and_wait();  // the main thread has looked
  });
  step.arrive_and_wait();
  EXPECT_EQ(epoch_collect(), 1U);
  epoch_retire(new Block(2));
  EXPECT_EQ(epoch_collect(), 0U);
  step.arrive_and_wait();
  reader.join();
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

TEST(Epoch, StampPassesWhenTheReadersOfItsTimeAreGone) {
  uint64_t stamp = 0;
  {
    const EpochGuard guard;
    stamp = epoch_stamp();
    EXPECT_FALSE(epoch_passed(stamp));
  }
  EXPECT_TRUE(epoch_passed(stamp));
  const EpochGuard later;
  EXPECT_TRUE(epoch_passed(stamp));
}

TEST(Epoch, SlotsAreReusedAfterThreadsEnd) {
  std::thread([] { const EpochGuard guard; }).join();
  const size_t slots = epoch_stats().slots;
  for (int i = 0; i < 50; ++i) std::thread([] { const EpochGuard guard; }).join();
  EXPECT_EQ(epoch_stats().slots, slots);
}

/// Pins from the destructor of a thread-local object that dies after the thread gave its slot back.
struct LateUser {
  std::atomic<int>* done = nullptr;
  ~LateUser() {
    const EpochGuard guard;
    epoch_retire(new Block(3));
    done->fetch_add(1);
  }
};

TEST(Epoch, GuardsWorkWhileAThreadIsBeingTornDown) {
  std::atomic<int> done{0};
  const auto body = [&] {
    thread_local LateUser late;  // constructed before the slot's own thread-local: destroyed after it
    late.done = &done;
    const EpochGuard guard;
  };
  std::thread(body).join();
  const size_t slots = epoch_stats().slots;
  std::thread(body).join();
  EXPECT_EQ(done.load(), 2);
  EXPECT_EQ(epoch_stats().slots, slots);
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

TEST(Epoch, DeletersMayRetireMore) {
  struct Chain {
    Block* next;
    ~Chain() { epoch_retire(next); }
  };
  for (int i = 0; i < 200; ++i) epoch_retire(new Chain{new Block(1)});
  while (epoch_stats().backlog_blocks > 0) ASSERT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

TEST(Epoch, BacklogStaysSmallWithoutExplicitCollection) {
  ASSERT_TRUE(epoch_drain(kDrainMs));
  size_t most = 0;
  for (int i = 0; i < 10'000; ++i) {
    epoch_retire(new Block(1));
    most = std::max(most, epoch_stats().backlog_blocks);
  }
  EXPECT_LE(most, 64U);
  EXPECT_TRUE(epoch_drain(kDrainMs));
}

TEST(Epoch, OverTheLimitAStuckReaderIsCountedAndTheWriterGoesOn) {
  ASSERT_TRUE(epoch_drain(kDrainMs));
  const uint64_t overruns = epoch_stats().overruns;
  std::barrier step(2);
  std::thread reader([&] {
    const EpochGuard guard;
    step.arrive_and_wait();
    step.arrive_and_wait();
  });
  step.arrive_and_wait();
  epoch_retire(new Block(1), kEpochBacklogBytesMax + 1);
  EXPECT_EQ(epoch_stats().overruns, overruns + 1);
  EXPECT_EQ(Block::alive.load(), 1);
  step.arrive_and_wait();
  reader.join();
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

/// Readers chase pointers that writers swap and retire; a wrong free shows as a broken check word,
/// and as a report under AddressSanitizer or ThreadSanitizer.
TEST(Epoch, StressReadersNeverMeetFreedBlocks) {
  constexpr int kSwapsPerWriter = 20'000;
  std::array<std::atomic<Block*>, 16> cells{};
  for (auto& cell : cells) cell.store(new Block(7));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> broken{0};
  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 4; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937 random(r);
      uint64_t count = 0;
      do {
        const EpochGuard guard;
        for (int i = 0; i < 8; ++i, ++count) {
          const Block* block = cells[random() % cells.size()].load(std::memory_order_acquire);
          if ((block->value ^ Block::kAlive) != block->check) broken.fetch_add(1);
        }
      } while (!stop.load(std::memory_order_relaxed));
      reads.fetch_add(count);
    });
  }
  std::vector<std::thread> writers;
  for (unsigned w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      std::mt19937 random(100 + w);
      for (int i = 0; i < kSwapsPerWriter; ++i) {
        auto& cell = cells[random() % cells.size()];
        epoch_retire(cell.exchange(new Block(random()), std::memory_order_acq_rel));
      }
    });
  }
  for (auto& writer : writers) writer.join();
  stop.store(true);
  for (auto& reader : readers) reader.join();
  for (auto& cell : cells) delete cell.load();
  EXPECT_EQ(broken.load(), 0U);
  EXPECT_GT(reads.load(), 0U);
  EXPECT_TRUE(epoch_drain(kDrainMs));
  EXPECT_EQ(Block::alive.load(), 0);
}

}  // namespace
}  // namespace enhanced_gptcache::base
