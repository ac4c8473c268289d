#pragma once
// Time as a dependency, so that expiry, jitter and breakers are tested without sleeping.

#include <chrono>
#include <cstdint>

namespace enhanced_gptcache::base {

/// Any thread. wall_ms may jump (NTP, operators); mono_us never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Milliseconds since the Unix epoch. For expiry times that outlive the process.
  virtual int64_t wall_ms() const = 0;
  /// Microseconds of a monotonic clock with an arbitrary origin. For durations.
  virtual int64_t mono_us() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t wall_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  int64_t mono_us() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

/// The process-wide system clock; never destroyed before its users.
inline const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace enhanced_gptcache::base
