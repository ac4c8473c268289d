#include "metrics/registry.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

namespace enhanced_gptcache::metrics {
namespace {

/// A bit of everything; the expected text stands below, character by character.
void fill(Registry& registry) {
  auto& requests = registry.counters({"requests_total", "Requests by route.", {"route", "status"}});
  requests.with({"/v1", "200"}).add(3);
  requests.with({"/a", "500"}).add();
  registry.counter("starts_total", "Starts.");
  registry.gauge("depth", "Back\\slash and\nline.").set(-1.5);
  registry.gauges({"odd", "Odd values.", {"kind"}}).with({"q\"b\\l\nx"}).set(INFINITY);
  registry.gauges({"odd", "Odd values.", {"kind"}}).with({"minus"}).set(-INFINITY);
  registry.gauges({"odd", "Odd values.", {"kind"}}).with({"nan"}).set(NAN);
  Histogram& times = registry.histograms({"time_ms", "Times.", {"layer"}}, {0.5, 10}).with({"exact"});
  for (const double value : {0.5, 0.75, 11.0}) times.record(value);
  times.record(NAN);
  registry.collector({"bytes", "Bytes by tier.", {"tier"}}, Kind::kGauge, [] {
    return std::vector<Sample>{{{"memory"}, 1e6}, {{"disk"}, 0.1}};
  });
  registry.collector({"none_total", "No samples."}, Kind::kCounter, [] { return std::vector<Sample>{}; });
  registry.counters({"unused_total", "No series yet.", {"label"}});
}

constexpr const char* kExpected = R"(# HELP bytes Bytes by tier.
# TYPE bytes gauge
bytes{tier="disk"} 0.1
bytes{tier="memory"} 1000000
# HELP depth Back\\slash and\nline.
# TYPE depth gauge
depth -1.5
# HELP odd Odd values.
# TYPE odd gauge
odd{kind="minus"} -Inf
odd{kind="nan"} NaN
odd{kind="q\"b\\l\nx"} +Inf
# HELP requests_total Requests by route.
# TYPE requests_total counter
requests_total{route="/a",status="500"} 1
requests_total{route="/v1",status="200"} 3
# HELP starts_total Starts.
# TYPE starts_total counter
starts_total 0
# HELP time_ms Times.
# TYPE time_ms histogram
time_ms_bucket{layer="exact",le="0.5"} 1
time_ms_bucket{layer="exact",le="10"} 2
time_ms_bucket{layer="exact",le="+Inf"} 3
time_ms_sum{layer="exact"} 12.25
time_ms_count{layer="exact"} 3
)";

TEST(Registry, PrometheusTextIsExact) {
  Registry registry;
  fill(registry);
  EXPECT_EQ(registry.prometheus_text(), kExpected);
  EXPECT_EQ(registry.prometheus_text(), kExpected) << "and stable";
  EXPECT_EQ(Registry().prometheus_text(), "");
}

TEST(Registry, PromtoolReadsIt) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "promtool is not installed";
  Registry registry;
  auto& requests = registry.counters({"app_requests_total", "Requests.", {"route"}});
  requests.with({"a\"b\\c\nd"}).add(2);
  registry.histogram("app_duration_seconds", "Durations.", {0.001, 0.1, 1}).record(0.5);
  registry.gauge("app_temperature_celsius", "Temperature.").set(-2.5e-7);
  const std::string path = fmt::format("{}egptc_metrics_{}", ::testing::TempDir(), ::getpid());
  std::ofstream(path) << registry.prometheus_text();
  EXPECT_EQ(std::system(fmt::format("promtool check metrics <{}", path).c_str()), 0);
  std::filesystem::remove(path);
}

TEST(Registry, LabelSetsAreBounded) {
  Registry registry;
  auto& family = registry.counters({"x_total", "X.", {"a", "b"}, 3});
  for (int i = 0; i < 10; ++i) family.with({std::to_string(i), "y"}).add();
  EXPECT_EQ(registry.prometheus_text(),
            "# HELP x_total X.\n# TYPE x_total counter\n"
            "x_total{a=\"0\",b=\"y\"} 1\nx_total{a=\"1\",b=\"y\"} 1\nx_total{a=\"2\",b=\"y\"} 1\n"
            "x_total{a=\"other\",b=\"other\"} 7\n");
  EXPECT_EQ(&family.with({"1", "y"}), &family.with({"1", "y"})) << "known sets stay their own";
  EXPECT_EQ(&family.with({"8", "y"}), &family.with({"9", "y"}));
}

TEST(Registry, ManySeriesAreKeptApartByEveryThread) {
  Registry registry;
  constexpr int kSeries = 1000;  // more than are found without the lock
  auto& family = registry.counters({"x_total", "X.", {"a", "b"}, kSeries});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&family] {
      for (int i = 0; i < kSeries; ++i) family.with({std::to_string(i), "y"}).add(static_cast<uint64_t>(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kSeries; ++i) {
    EXPECT_EQ(family.with({std::to_string(i), "y"}).value(), static_cast<uint64_t>(4 * i));
  }
  family.with({"y", "1"}).add();
  EXPECT_EQ(family.with({"other", "other"}).value(), 1u) << "labels count by their place";
}

TEST(Registry, CollectedLabelSetsAreBounded) {
  Registry registry;
  registry.collector({"x", "X.", {"a"}, 2}, Kind::kGauge, [] {
    return std::vector<Sample>{{{"1"}, 1}, {{"2"}, 2}, {{"3"}, 3}, {{"4"}, 4}, {{"1"}, 10}};
  });
  EXPECT_EQ(registry.prometheus_text(),
            "# HELP x X.\n# TYPE x gauge\nx{a=\"1\"} 11\nx{a=\"2\"} 2\nx{a=\"other\"} 7\n");
}

TEST(Registry, TheSameNameIsTheSameFamily) {
  Registry registry;
  registry.counter("x_total", "X.").add(1);
  registry.counter("x_total", "X.").add(1);
  EXPECT_EQ(registry.counter("x_total", "X.").value(), 2U);
  EXPECT_EQ(&registry.histogram("h", "H.", {1, 2}), &registry.histogram("h", "H.", {1, 2}));
}

TEST(RegistryDeathTest, MisuseIsABug) {
  Registry registry;
  registry.counter("x_total", "X.");
  EXPECT_DEATH(registry.gauge("x_total", "X."), "CHECK failed");
  EXPECT_DEATH(registry.counters({"x_total", "X.", {"label"}}), "CHECK failed");
  EXPECT_DEATH(registry.counter("1x", "X."), "CHECK failed");
  EXPECT_DEATH(registry.counters({"y_total", "Y.", {"le"}}), "CHECK failed");
  EXPECT_DEATH(registry.counters({"y_total", "Y.", {"a"}}).with({"1", "2"}), "CHECK failed");
  EXPECT_DEATH(Histogram({2, 1}), "CHECK failed");
}

TEST(Histogram, BoundsAreInclusiveAndBucketsCumulate) {
  Histogram histogram({1, 2, 4});
  for (const double value : {-1.0, 1.0, 1.000001, 2.0, 4.0, 4.1, 1e300}) histogram.record(value);
  const Histogram::View view = histogram.view();
  EXPECT_EQ(view.buckets, (std::vector<uint64_t>{2, 4, 5, 7}));
  EXPECT_EQ(view.count, 7U);
}

TEST(Metrics, NothingIsLostBetweenThreads) {
  Registry registry;
  constexpr int kThreads = 24;  // more than cells
  constexpr int kRounds = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&registry, t] {
      auto& family = registry.counters({"c_total", "C.", {"t"}});
      Histogram& histogram = registry.histogram("h", "H.", {0.5});
      for (int i = 0; i < kRounds; ++i) {
        family.with({std::to_string(t % 4)}).add();
        histogram.record(i % 2);
        registry.gauge("g", "G.").add(1);
        if (i % 500 == 0) {
          EXPECT_FALSE(registry.prometheus_text().empty());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t sum = 0;
  for (const char* label : {"0", "1", "2", "3"}) {
    sum += registry.counters({"c_total", "C.", {"t"}}).with({label}).value();
  }
  EXPECT_EQ(sum, uint64_t{kThreads} * kRounds);
  const Histogram::View view = registry.histogram("h", "H.", {0.5}).view();
  EXPECT_EQ(view.count, uint64_t{kThreads} * kRounds);
  EXPECT_EQ(view.buckets[0], uint64_t{kThreads} * kRounds / 2);
  EXPECT_EQ(view.sum, kThreads * kRounds / 2.0);
  EXPECT_EQ(registry.gauge("g", "G.").value(), kThreads * kRounds);
}

TEST(Metrics, LatencyBoundsSpanTheContract) {
  const std::vector<double> bounds = latency_bounds_ms();
  EXPECT_EQ(bounds.front(), 0.05);
  EXPECT_EQ(bounds.back(), 10000);
}

}  // namespace
}  // namespace enhanced_gptcache::metrics
