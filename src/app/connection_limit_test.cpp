#include "app/connection_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <limits>

namespace enhanced_gptcache::app {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

TEST(ConnectionLimit, TakesWhatTheLimitLeaves) {
  EXPECT_EQ(connections_that_fit(4096, kNoLimit), 4096U);
  EXPECT_EQ(connections_that_fit(4096, 4096 + kDescriptorReserve), 4096U);
  EXPECT_EQ(connections_that_fit(4096, 4095 + kDescriptorReserve), 4095U);
  EXPECT_EQ(connections_that_fit(4096, 1024), 1024 - kDescriptorReserve);
}

TEST(ConnectionLimit, ATinyLimitIsHalvedAndNeverNothing) {
  EXPECT_EQ(connections_that_fit(4096, 300), 150U);
  EXPECT_EQ(connections_that_fit(4096, 1), 1U);
  EXPECT_EQ(connections_that_fit(4096, 0), 1U);
  EXPECT_EQ(connections_that_fit(5, 1024), 5U);
}

/// Lowers the soft limit for the time of a test.
class SoftLimit {
 public:
  explicit SoftLimit(rlim_t soft) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{soft, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~SoftLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;
  rlim_t hard() const { return before_.rlim_max; }

 private:
  rlimit before_{};
};

TEST(ConnectionLimit, TheSoftLimitIsRaisedToTheHardOne) {
  const SoftLimit low(100);
  const uint64_t limit = raise_descriptor_limit();
  rlimit now{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, low.hard());
  EXPECT_EQ(limit, low.hard() == RLIM_INFINITY ? kNoLimit : uint64_t{low.hard()});
}

TEST(ConnectionLimit, DoctorNamesSettingAndLimit) {
  const SoftLimit low(100);
  if (low.hard() > 900'000) GTEST_SKIP() << "the hard limit is above every value of the setting";
  config::Settings settings;
  settings.server.max_connections = 1'000'000;
  const std::string found = describe_descriptors(settings);
  EXPECT_NE(found.find("warning: server.max_connections is 1000000"), std::string::npos);
  EXPECT_NE(found.find("Raise the limit to 1000256"), std::string::npos);
  settings.server.max_connections = 1;
  EXPECT_EQ(describe_descriptors(settings).find("warning"), std::string::npos);
}

}  // namespace
}  // namespace enhanced_gptcache::app
