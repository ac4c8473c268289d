#include "metrics/recent_times.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace enhanced_gptcache::metrics {

TimesSummary summarize(std::span<double> times_ms) {
  TimesSummary summary;
  if (times_ms.empty()) return summary;
  std::sort(times_ms.begin(), times_ms.end());
  const auto at = [&](double quantile) {
    return times_ms[static_cast<size_t>(quantile * static_cast<double>(times_ms.size()))];
  };
  summary.count = times_ms.size();
  summary.mean = std::accumulate(times_ms.begin(), times_ms.end(), 0.0) / static_cast<double>(summary.count);
  summary.p50 = at(0.50);
  summary.p95 = at(0.95);
  summary.p99 = at(0.99);
  summary.min = times_ms.front();
  summary.max = times_ms.back();
  return summary;
}

TimesSummary RecentTimes::summary() const {
  const size_t count = std::min<uint64_t>(next_.load(std::memory_order_relaxed), kWindow);
  std::vector<double> times;
  times.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const double ms = slots_[i].load(std::memory_order_relaxed);
    // A slot that was taken but not written yet still holds the mark of an empty one.
    if (ms >= 0) times.push_back(ms);
  }
  return summarize(times);
}

}  // namespace enhanced_gptcache::metrics
