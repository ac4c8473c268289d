#pragma once
// How long the last misses took, for holding hits back (proxy/hit_delay.h).

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>

namespace enhanced_gptcache::proxy {

/// When the first and the last byte of an answer go out, counted from the start of the request.
struct AnswerTimes {
  int64_t first_byte_us = 0;
  int64_t total_us = 0;
};

/// The last misses of the process, as their callers saw them. Thread rule: any thread.
class MissTimes {
 public:
  void add(const AnswerTimes& times);
  /// One of them at random; none yet: nullopt.
  std::optional<AnswerTimes> sample() const;

 private:
  static constexpr size_t kKept = 128;

  mutable std::mutex mutex_;
  std::array<AnswerTimes, kKept> ring_;                      // guarded by mutex_
  size_t count_ = 0;                                         // guarded by mutex_
  mutable std::minstd_rand random_{std::random_device{}()};  // guarded by mutex_
};

}  // namespace enhanced_gptcache::proxy
