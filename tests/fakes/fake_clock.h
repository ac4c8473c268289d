#pragma once
// A clock that stands still until a test moves it.

#include <atomic>

#include "base/clock.h"

namespace enhanced_gptcache::fakes {

/// Thread rule: any thread.
class FakeClock final : public base::Clock {
 public:
  int64_t wall_ms() const override { return wall_ms_.load(); }
  int64_t mono_us() const override { return mono_us_.load(); }
  void advance_ms(int64_t ms) {
    wall_ms_ += ms;
    mono_us_ += ms * 1000;
  }

 private:
  std::atomic<int64_t> wall_ms_{1'700'000'000'000};
  std::atomic<int64_t> mono_us_{1};
};

}  // namespace enhanced_gptcache::fakes
