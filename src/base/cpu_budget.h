#pragma once
// How many cores and how much memory this process may really use: what the machine, the affinity
// mask, the cgroup (v1 or v2, all ancestors that are visible) and the settings leave. A container
// with a quota of one core on a machine with 64 must not start 64 threads.

#include <cstdint>
#include <string>

namespace enhanced_gptcache::base {

/// Cores, at least 1: min(affinity, ceil(cgroup quota), `cores_configured` unless 0). `root` replaces
/// "/" in tests (files below root/proc and root/sys; the affinity mask is always the real one).
size_t usable_cores(size_t cores_configured, const std::string& root = "");
/// The cgroup's CPU quota in cores (1.5 = 150 %), 0 when there is none.
double cgroup_cpu_quota(const std::string& root = "");
/// The lowest memory limit of the cgroup and its ancestors in bytes, 0 when there is none.
uint64_t cgroup_memory_limit_bytes(const std::string& root = "");
/// min(cgroup limit, `bytes_configured` unless 0), or the machine's memory when neither limits.
uint64_t memory_limit_bytes(uint64_t bytes_configured, const std::string& root = "");

}  // namespace enhanced_gptcache::base
