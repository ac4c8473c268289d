#include "app/offload.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

namespace enhanced_gptcache::app {
namespace {

TEST(OffloadPool, AnExceptionEndsThatPieceOfWorkOnly) {
  OffloadPool pool(1, 2);
  const auto held = std::make_shared<int>(0);
  ASSERT_TRUE(pool.run([held] { throw std::runtime_error("broken"); }));
  std::promise<void> next;
  ASSERT_TRUE(pool.run([&next] { next.set_value(); }));
  next.get_future().wait();
  pool.stop();
  EXPECT_EQ(pool.waiting(), 0U) << "its place is free again";
  EXPECT_EQ(held.use_count(), 1) << "what it held is given back";
}

TEST(OffloadPool, StopFinishesWhatWasTakenAndTakesNothingMore) {
  OffloadPool pool(1, 10);
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
  std::atomic<int> done{0};
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(pool.run([opened, &done] {
      opened.wait();
      ++done;
    }));
  std::thread opener([&open] { open.set_value(); });
  pool.stop();
  opener.join();
  EXPECT_EQ(done, 5);
  EXPECT_FALSE(pool.run([&done] { ++done; }));
  pool.stop();
  EXPECT_EQ(done, 5);
}

}  // namespace
}  // namespace enhanced_gptcache::app
