#pragma once
// What the kernel says about this process: CPU, resident memory, uptime, open files.

#include <cstdint>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace enhanced_gptcache::metrics {

struct ProcessUsage {
  double cpu_percent = 0;  ///< of one core since the last sample (first: since the process started)
  double cpu_seconds = 0;  ///< user and system, since the process started
  uint64_t resident_bytes = 0;
  uint64_t memory_limit_bytes = 0;  ///< min(cgroup limit, configured)
  double memory_percent = 0;        ///< resident of limit
  double uptime_seconds = 0;        ///< of this object
  uint64_t open_files = 0;
  uint64_t threads = 0;
};

/// Thread rule: any thread. Samples closer than 100 ms repeat the CPU figure of the one before.
class ProcessSampler {
 public:
  /// `root` replaces "/" of /proc and /sys in tests. `clock` must outlive it.
  explicit ProcessSampler(const base::Clock& clock = base::system_clock(), std::string root = "");
  /// `configured_bytes` 0: only the cgroup (else the machine's memory) limits.
  ProcessUsage sample(uint64_t configured_bytes);

 private:
  const std::string root_;
  const base::Clock& clock_;
  const int64_t started_us_;
  std::mutex mutex_;
  int64_t last_us_ = 0;          // guarded by mutex_
  double last_cpu_seconds_ = 0;  // guarded by mutex_
  double last_percent_ = 0;      // guarded by mutex_
};

}  // namespace enhanced_gptcache::metrics
