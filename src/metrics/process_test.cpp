#include "metrics/process.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "metrics/recent_times.h"

namespace enhanced_gptcache::metrics {
namespace {

class StillClock final : public base::Clock {
 public:
  int64_t wall_ms() const override { return 0; }
  int64_t mono_us() const override { return now_us; }
  int64_t now_us = 5'000'000;
};

TEST(ProcessSampler, CpuIsTheShareOfTheWindow) {
  StillClock clock;
  double cpu = 2;
  ProcessSampler sampler(clock, "/nonexistent", [&] { return cpu; });
  clock.now_us += 1'000'000;
  cpu += 0.5;
  EXPECT_DOUBLE_EQ(sampler.sample(1 << 20).cpu_percent, 50);
  clock.now_us += 500'000;
  cpu += 0.05;
  EXPECT_DOUBLE_EQ(sampler.sample(1 << 20).cpu_percent, 50) << "too soon: the figure before";
  clock.now_us += 500'000;
  cpu += 1.95;
  const ProcessUsage usage = sampler.sample(1 << 20, 4);
  EXPECT_DOUBLE_EQ(usage.cpu_percent, 50) << "two seconds of CPU in one, on four cores";
  EXPECT_DOUBLE_EQ(usage.uptime_seconds, 2);
  EXPECT_DOUBLE_EQ(usage.cpu_seconds, 4.5);
  clock.now_us += 1'000'000;
  EXPECT_DOUBLE_EQ(sampler.sample(1 << 20, 0).cpu_percent, 0);
}

TEST(ProcessSampler, ReadsTheKernelsFiles) {
  std::string root = ::testing::TempDir() + "egptc_proc_XXXXXX";
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  std::filesystem::create_directories(root + "/proc/self/fd");
  std::ofstream(root + "/proc/self/statm") << "1000 256 12 1 0 1 0\n";
  std::ofstream(root + "/proc/self/status") << "Name:\tx\nThreads:\t7\n";
  std::ofstream(root + "/proc/self/fd/0");
  std::ofstream(root + "/proc/self/fd/1");
  StillClock clock;
  ProcessSampler sampler(clock, root);
  const uint64_t resident = 256 * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const ProcessUsage usage = sampler.sample(resident * 4);
  EXPECT_EQ(usage.resident_bytes, resident);
  EXPECT_EQ(usage.memory_limit_bytes, resident * 4);
  EXPECT_DOUBLE_EQ(usage.memory_percent, 25);
  EXPECT_EQ(usage.open_files, 2U);
  EXPECT_EQ(usage.threads, 7U);
  std::filesystem::remove_all(root);
}

TEST(ProcessSampler, MissingFilesAreZeros) {
  StillClock clock;
  ProcessSampler sampler(clock, "/nonexistent");
  const ProcessUsage usage = sampler.sample(0);
  EXPECT_EQ(usage.resident_bytes + usage.memory_limit_bytes + usage.open_files + usage.threads, 0U);
  EXPECT_EQ(usage.memory_percent, 0);
}

TEST(ProcessSampler, ThisProcess) {
  // Some kernels count CPU time in ticks of 10 ms: work until there is one.
  while (ProcessSampler::process_cpu_seconds() == 0) {
  }
  ProcessSampler sampler;
  const ProcessUsage usage = sampler.sample(uint64_t{1} << 40U);
  EXPECT_GT(usage.resident_bytes, 100'000U);
  EXPECT_GT(usage.memory_percent, 0);
  EXPECT_GT(usage.open_files, 2U);
  EXPECT_GE(usage.threads, 1U);
  EXPECT_GT(usage.cpu_seconds, 0);
  EXPECT_GT(usage.cpu_percent, 0) << "the first sample spans the life of the process";
}

TEST(RecentTimes, QuantilesOfTheWindow) {
  RecentTimes times;
  EXPECT_EQ(times.summary().count, 0U);
  EXPECT_EQ(times.summary().p99, 0);
  times.record(7);
  EXPECT_EQ(times.summary().p50, 7);
  EXPECT_EQ(times.summary().min, 7);
  for (int i = 1; i <= 1000; ++i) times.record(i);  // pushes the 7 out
  const TimesSummary summary = times.summary();
  EXPECT_EQ(summary.count, 1000U);
  EXPECT_DOUBLE_EQ(summary.mean, 500.5);
  EXPECT_EQ(summary.p50, 501);
  EXPECT_EQ(summary.p95, 951);
  EXPECT_EQ(summary.p99, 991);
  EXPECT_EQ(summary.min, 1);
  EXPECT_EQ(summary.max, 1000);
}

TEST(RecentTimes, WritersAndReadersTogether) {
  RecentTimes times;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) times.record(3);
    });
  }
  for (int i = 0; i < 50; ++i) {
    const TimesSummary summary = times.summary();
    EXPECT_TRUE(summary.count == 0 || (summary.min == 3 && summary.max == 3));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(times.summary().count, RecentTimes::kWindow);
}

}  // namespace
}  // namespace enhanced_gptcache::metrics
