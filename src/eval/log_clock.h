#pragma once
// The clock of a replayed log.

#include <algorithm>
#include <atomic>

#include "base/clock.h"

namespace enhanced_gptcache::eval {

/// The time of the log, never backwards; the machine's until the log names one. Thread rule: any thread.
class LogClock final : public base::Clock {
 public:
  void advance_to(int64_t wall_ms) { log_ms_ = std::max(log_ms_.load(), wall_ms); }
  int64_t wall_ms() const override {
    const int64_t log_ms = log_ms_;
    return log_ms == 0 ? base::system_clock().wall_ms() : log_ms;
  }
  int64_t mono_us() const override { return base::system_clock().mono_us(); }

 private:
  std::atomic<int64_t> log_ms_{0};
};

}  // namespace enhanced_gptcache::eval
