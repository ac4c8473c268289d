#include "metrics/process.h"

#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/cpu_budget.h"

namespace enhanced_gptcache::metrics {
namespace {

constexpr int64_t kWindowMinUs = 1'000'000;

// Taken while the program is loaded, which is close enough to the start of the process.
const int64_t kLoadedUs = base::system_clock().mono_us();

uint64_t resident_bytes(const std::string& root) {
  std::ifstream file(root + "/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  if (!(file >> total_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint64_t thread_count(const std::string& root) {
  std::ifstream file(root + "/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Threads:")) return std::strtoull(line.c_str() + 8, nullptr, 10);
  }
  return 0;
}

uint64_t open_file_count(const std::string& root) {
  std::error_code error;
  uint64_t count = 0;
  for (std::filesystem::directory_iterator entry(root + "/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

double ProcessSampler::process_cpu_seconds() {
  // Finer than the ticks of /proc/self/stat, so that even a short window sees work.
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

ProcessSampler::ProcessSampler(const base::Clock& clock, std::string root, CpuSeconds cpu_seconds)
    : clock_(clock),
      root_(std::move(root)),
      cpu_seconds_(std::move(cpu_seconds)),
      started_us_(&clock == &base::system_clock() ? kLoadedUs : clock.mono_us()),
      last_us_(started_us_),
      last_cpu_seconds_(&clock == &base::system_clock() ? 0 : cpu_seconds_()) {}

double ProcessSampler::cpu_percent(int64_t now_us, double cpu_seconds, size_t cores) {
  const std::lock_guard lock(mutex_);
  const int64_t elapsed_us = now_us - last_us_;
  if (elapsed_us <= 0 || (sampled_ && elapsed_us < kWindowMinUs)) return last_percent_;
  const double used = (cpu_seconds - last_cpu_seconds_) * 1e6 / static_cast<double>(elapsed_us);
  last_percent_ = 100.0 * used / static_cast<double>(cores == 0 ? 1 : cores);
  last_us_ = now_us;
  last_cpu_seconds_ = cpu_seconds;
  sampled_ = true;
  return last_percent_;
}

ProcessUsage ProcessSampler::sample(uint64_t configured_bytes, size_t cores) {
  ProcessUsage usage;
  const int64_t now_us = clock_.mono_us();
  usage.cpu_seconds = cpu_seconds_();
  usage.cpu_percent = cpu_percent(now_us, usage.cpu_seconds, cores);
  usage.resident_bytes = resident_bytes(root_);
  usage.memory_limit_bytes = base::memory_limit_bytes(configured_bytes, root_);
  if (usage.memory_limit_bytes > 0) {
    usage.memory_percent =
        100.0 * static_cast<double>(usage.resident_bytes) / static_cast<double>(usage.memory_limit_bytes);
  }
  usage.uptime_seconds = static_cast<double>(now_us - started_us_) / 1e6;
  usage.open_files = open_file_count(root_);
  usage.threads = thread_count(root_);
  return usage;
}

}  // namespace enhanced_gptcache::metrics
