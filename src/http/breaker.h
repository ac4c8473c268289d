#pragma once
// A circuit breaker: after some failures in a row an upstream is left alone for a while, then one
// request is let through to see whether it is back (Nygard, "Release It!", 2007).

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace enhanced_gptcache::http {

/// Thread rule: any thread. Times are monotonic microseconds given by the caller.
class Breaker {
 public:
  enum class State { kClosed = 0, kHalfOpen = 1, kOpen = 2 };

  void configure(size_t failures_max, int64_t open_us);
  /// May a request go? When it is the one probe, `is_probe` is set, and exactly one of succeeded(),
  /// failed() and withdrawn() must follow.
  bool allow(int64_t now_us, bool& is_probe);
  void succeeded();
  void failed(int64_t now_us);
  /// The probe was given up without an outcome (its caller left).
  void withdrawn();
  State state() const;
  /// Until the next probe may go; 0 when one may go now.
  int64_t wait_us(int64_t now_us) const;

 private:
  mutable std::mutex mutex_;
  size_t failures_max_ = 5;
  int64_t open_us_ = 10'000'000;
  size_t failures_ = 0;
  bool open_ = false;
  bool probing_ = false;
  int64_t retry_at_us_ = 0;
};

}  // namespace enhanced_gptcache::http
