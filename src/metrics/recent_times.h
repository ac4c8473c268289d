#pragma once
// The last 1,000 response times, for the JSON summary of /metrics. Lock-free: writers take a slot by
// one atomic add; a reader copies the slots and may see one that is a moment newer than another.

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

namespace enhanced_gptcache::metrics {

/// Quantiles by the guide's rule: the sorted value at index floor(q * count).
struct TimesSummary {
  uint64_t count = 0;  ///< of the window, 0 to 1,000; the rest is 0 when it is 0
  double mean = 0, p50 = 0, p95 = 0, p99 = 0, min = 0, max = 0;
};
TimesSummary summarize(std::span<double> times_ms);  ///< sorts in place

/// Thread rule: any thread.
class RecentTimes {
 public:
  static constexpr size_t kWindow = 1000;
  RecentTimes() {
    for (auto& slot : slots_) slot.store(-1, std::memory_order_relaxed);
  }
  void record(double ms) {
    slots_[next_.fetch_add(1, std::memory_order_relaxed) % kWindow].store(ms, std::memory_order_relaxed);
  }
  TimesSummary summary() const;

 private:
  std::atomic<uint64_t> next_{0};
  std::array<std::atomic<double>, kWindow> slots_;  ///< negative: not written yet
};

}  // namespace enhanced_gptcache::metrics
