#pragma once
// How many connections the process may have: each takes a file descriptor, and so do storage, upstreams and
// logs. Most systems start a service with a soft limit of 1024 (RLIMIT_NOFILE, getrlimit(2)).

#include <cstddef>
#include <cstdint>
#include <string>

#include "config/settings.h"
#include "http/server.h"

namespace enhanced_gptcache::app {

/// Descriptors kept free of callers: for the files of storage, logs, and connections to upstreams.
inline constexpr uint64_t kDescriptorReserve = 256;

/// Raises the soft limit of open files to the hard one, which needs no privilege. Returns the limit in force
/// then; UINT64_MAX: none. For the start of the process.
uint64_t raise_descriptor_limit();

/// `wanted`, or what `limit` leaves of it: at least half of a limit that is smaller than two reserves, and
/// at least 1.
size_t connections_that_fit(size_t wanted, uint64_t limit);

/// Raises the limit, and lowers connections_max with one warning when it does not fit all the same.
http::ServerOptions fit_connections(http::ServerOptions options);

/// For `doctor`: what fits, or a warning that says what to raise. No failure, because the server starts.
std::string describe_descriptors(const config::Settings& settings);

}  // namespace enhanced_gptcache::app
