#include "base/cpu_budget.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

namespace enhanced_gptcache::base {
namespace {

// Version 1 writes "no limit" as the largest multiple of a page; no machine has a pebibyte.
constexpr uint64_t kNoLimitBytes = uint64_t{1} << 50U;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// This process's path in the hierarchy of `controller` ("" is version 2), "/" when it is not listed.
std::string cgroup_path(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    // "4:cpu,cpuacct:/path"; commas on both sides make the name a whole word.
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names == "," + controller + "," ||
        (!controller.empty() && names.find("," + controller + ",") != std::string::npos)) {
      const std::string path = line.substr(second + 1);
      return path.starts_with('/') ? path : "/";
    }
  }
  return "/";
}

/// Calls `visit` with the folder of the cgroup and of each ancestor. The path of /proc may not exist below
/// the mount (a container without its own cgroup namespace); the mount itself is then the container's.
void for_each_ancestor(const std::string& mount, std::string path,
                       const std::function<void(const std::string&)>& visit) {
  while (path.size() > 1) {
    visit(mount + path);
    path.resize(path.rfind('/'));
  }
  visit(mount);
}

double quota_v2(const std::string& folder) {
  std::istringstream line(first_line(folder + "/cpu.max"));
  std::string quota;
  double period = 0;
  if (!(line >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double quota_v1(const std::string& folder) {
  const double quota = std::strtod(first_line(folder + "/cpu.cfs_quota_us").c_str(), nullptr);
  const double period = std::strtod(first_line(folder + "/cpu.cfs_period_us").c_str(), nullptr);
  return quota > 0 && period > 0 ? quota / period : 0;
}

uint64_t bytes_in(const std::string& file) {
  const std::string line = first_line(file);
  if (line.empty() || line == "max") return 0;
  const uint64_t bytes = std::strtoull(line.c_str(), nullptr, 10);
  return bytes < kNoLimitBytes ? bytes : 0;
}

template <typename T>
void take_lower(T& lowest, T candidate) {
  if (candidate > 0 && (lowest == 0 || candidate < lowest)) lowest = candidate;
}

uint64_t machine_memory_bytes(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemTotal:")) return std::strtoull(line.c_str() + 9, nullptr, 10) * 1024;
  }
  return 0;
}

size_t affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<size_t>(CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

double cgroup_cpu_quota(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  double lowest = 0;
  for_each_ancestor(mount, cgroup_path(root, ""),
                    [&](const std::string& folder) { take_lower(lowest, quota_v2(folder)); });
  const std::string path = cgroup_path(root, "cpu");
  for (const char* name : {"/cpu", "/cpu,cpuacct"}) {
    for_each_ancestor(mount + name, path,
                      [&](const std::string& folder) { take_lower(lowest, quota_v1(folder)); });
  }
  return lowest;
}

uint64_t cgroup_memory_limit_bytes(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  uint64_t lowest = 0;
  for_each_ancestor(mount, cgroup_path(root, ""),
                    [&](const std::string& folder) { take_lower(lowest, bytes_in(folder + "/memory.max")); });
  for_each_ancestor(mount + "/memory", cgroup_path(root, "memory"), [&](const std::string& folder) {
    take_lower(lowest, bytes_in(folder + "/memory.limit_in_bytes"));
  });
  return lowest;
}

uint64_t memory_limit_bytes(uint64_t bytes_configured, const std::string& root) {
  uint64_t limit = cgroup_memory_limit_bytes(root);
  take_lower(limit, bytes_configured);
  return limit > 0 ? limit : machine_memory_bytes(root);
}

size_t usable_cores(size_t cores_configured, const std::string& root) {
  size_t cores = affinity_cores();
  const double quota = cgroup_cpu_quota(root);
  if (quota > 0) cores = std::min(cores, static_cast<size_t>(std::ceil(quota)));
  if (cores_configured > 0) cores = std::min(cores, cores_configured);
  return std::max<size_t>(cores, 1);
}

}  // namespace enhanced_gptcache::base
