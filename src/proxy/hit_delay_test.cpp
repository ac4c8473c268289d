#include "proxy/hit_delay.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::proxy {
namespace {

TEST(HitDelay, AHitTakesTheTimeItsAnswerTook) {
  const AnswerTimes times = hold_times(200, AnswerTimes{10'000, 100'000});
  EXPECT_EQ(times.total_us, 200'000);
  EXPECT_EQ(times.first_byte_us, 20'000) << "in the proportion of a recent miss";
}

TEST(HitDelay, WhatNobodyWaitedForTakesARecentMiss) {
  const AnswerTimes times = hold_times(0, AnswerTimes{30'000, 90'000});
  EXPECT_EQ(times.total_us, 90'000);
  EXPECT_EQ(times.first_byte_us, 30'000);
  const AnswerTimes unknown = hold_times(0, std::nullopt);
  EXPECT_EQ(unknown.total_us, 1'000'000);
  EXPECT_GT(unknown.first_byte_us, 0);
  EXPECT_LT(unknown.first_byte_us, unknown.total_us);
}

TEST(HitDelay, NoHoldIsLongerThanTheBound) {
  for (const double latency_ms : {60'001.0, 1e18, 1e300}) {
    const AnswerTimes times = hold_times(latency_ms, AnswerTimes{5, 4});
    EXPECT_EQ(times.total_us, kHoldMaxUs) << latency_ms;
    EXPECT_LE(times.first_byte_us, times.total_us) << "a recent miss that says nonsense";
  }
  EXPECT_EQ(hold_times(-1, std::nullopt).total_us, 1'000'000) << "no latency is negative";
}

TEST(HitDelay, NamespacesByNameOrAll) {
  ProxyOptions options;
  EXPECT_FALSE(is_padded_namespace(options, ""));
  options.padded_namespaces = {"shared"};
  EXPECT_TRUE(is_padded_namespace(options, "shared"));
  EXPECT_FALSE(is_padded_namespace(options, ""));
  EXPECT_FALSE(is_padded_namespace(options, "shared/more"));
  options.padded_namespaces = {"*"};
  EXPECT_TRUE(is_padded_namespace(options, ""));
}

TEST(MissTimes, KeepsTheLastOnes) {
  MissTimes times;
  EXPECT_FALSE(times.sample());
  for (int64_t i = 0; i < 300; ++i) times.add({i, i});
  for (int i = 0; i < 1000; ++i) {
    const AnswerTimes one = times.sample().value();
    EXPECT_GE(one.total_us, 300 - 128);
    EXPECT_LT(one.total_us, 300);
  }
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
