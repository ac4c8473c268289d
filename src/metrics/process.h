#pragma once
// What the kernel says about this process: CPU, resident memory, uptime, open files.

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace enhanced_gptcache::metrics {

struct ProcessUsage {
  double cpu_percent = 0;  ///< of the given cores since the last sample (first: since the process started)
  double cpu_seconds = 0;  ///< user and system, since the process started
  uint64_t resident_bytes = 0;
  uint64_t memory_limit_bytes = 0;  ///< min(cgroup limit, configured)
  double memory_percent = 0;        ///< resident of limit
  double uptime_seconds = 0;        ///< since the process started
  uint64_t open_files = 0;
  uint64_t threads = 0;
};

/// Thread rule: any thread. Samples closer than a second repeat the CPU figure of the one before:
/// a shorter window says little, and some kernels count CPU time in ticks.
class ProcessSampler {
 public:
  using CpuSeconds = std::function<double()>;

  /// `clock` must outlive it. `root` replaces "/" of /proc and /sys in tests, `cpu_seconds` the kernel's
  /// count of this process's CPU time. With another clock than the system's, the process started now.
  explicit ProcessSampler(const base::Clock& clock = base::system_clock(), std::string root = "",
                          CpuSeconds cpu_seconds = process_cpu_seconds);
  /// `configured_bytes` 0: only the cgroup (else the machine's memory) limits. 100 % CPU is all of `cores`.
  ProcessUsage sample(uint64_t configured_bytes, size_t cores = 1);

  static double process_cpu_seconds();

 private:
  double cpu_percent(int64_t now_us, double cpu_seconds, size_t cores);

  const base::Clock& clock_;
  const std::string root_;
  const CpuSeconds cpu_seconds_;
  const int64_t started_us_;
  std::mutex mutex_;
  int64_t last_us_;          // guarded by mutex_
  double last_cpu_seconds_;  // guarded by mutex_
  double last_percent_ = 0;  // guarded by mutex_
  bool sampled_ = false;     // guarded by mutex_
};

}  // namespace enhanced_gptcache::metrics
