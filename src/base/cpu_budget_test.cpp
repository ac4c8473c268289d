#include "base/cpu_budget.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace enhanced_gptcache::base {
namespace {

/// A made-up /proc and /sys.
class CpuBudgetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "egptc_root_XXXXXX";
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(CpuBudgetTest, NothingThereMeansNoLimit) {
  EXPECT_EQ(cgroup_cpu_quota(root_), 0);
  EXPECT_EQ(cgroup_memory_limit_bytes(root_), 0U);
  EXPECT_EQ(memory_limit_bytes(0, root_), 0U);
  EXPECT_EQ(memory_limit_bytes(77, root_), 77U);
  EXPECT_GE(usable_cores(0, root_), 1U);
  EXPECT_EQ(usable_cores(1, root_), 1U);
}

TEST_F(CpuBudgetTest, Version2TakesTheLowestOfAllAncestors) {
  write("/proc/self/cgroup", "0::/outer/inner\n");
  write("/sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
  write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/cpu.max", "800000 100000\n");
  write("/sys/fs/cgroup/outer/memory.max", "max\n");
  write("/sys/fs/cgroup/outer/inner/memory.max", "1000000\n");
  EXPECT_DOUBLE_EQ(cgroup_cpu_quota(root_), 1.5);
  EXPECT_EQ(cgroup_memory_limit_bytes(root_), 1000000U);
  EXPECT_LE(usable_cores(0, root_), 2U) << "1.5 cores are worth two threads at most";
  EXPECT_EQ(memory_limit_bytes(2000000, root_), 1000000U);
  EXPECT_EQ(memory_limit_bytes(500000, root_), 500000U);
}

TEST_F(CpuBudgetTest, Version1) {
  write("/proc/self/cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "200000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_DOUBLE_EQ(cgroup_cpu_quota(root_), 2);
  EXPECT_EQ(cgroup_memory_limit_bytes(root_), 0U) << "the largest number is no limit";
  write("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "4096\n");
  EXPECT_EQ(cgroup_memory_limit_bytes(root_), 4096U);
  write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cgroup_cpu_quota(root_), 0);
}

TEST_F(CpuBudgetTest, APathThatIsNotBelowTheMountFallsBackToTheMount) {
  write("/proc/self/cgroup", "0::/kubepods/pod/container\n");
  write("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_cpu_quota(root_), 0.5);
  EXPECT_EQ(usable_cores(8, root_), 1U);
}

TEST_F(CpuBudgetTest, DamagedFilesAreNoLimit) {
  write("/proc/self/cgroup", "nonsense\n0::relative\n1:\n");
  for (const char* text : {"", "x", "1", "1 0", "-5 100"}) {
    write("/sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(cgroup_cpu_quota(root_), 0) << text;
  }
  write("/sys/fs/cgroup/memory.max", "many");
  EXPECT_EQ(cgroup_memory_limit_bytes(root_), 0U);
}

TEST_F(CpuBudgetTest, MachineMemoryWhenNothingElseLimits) {
  write("/proc/meminfo", "MemFree: 5 kB\nMemTotal:       2048 kB\n");
  EXPECT_EQ(memory_limit_bytes(0, root_), 2048U * 1024);
}

TEST(CpuBudget, ThisMachine) {
  EXPECT_GE(usable_cores(0), 1U);
  EXPECT_GT(memory_limit_bytes(0), 0U);
}

}  // namespace
}  // namespace enhanced_gptcache::base
