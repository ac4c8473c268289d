#include "app/connection_limit.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace enhanced_gptcache::app {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

std::string shortage(size_t wanted, uint64_t limit) {
  return fmt::format(
      "server.max_connections is {}, but the process may open {} files (ulimit -Hn, LimitNOFILE of systemd) "
      "and keeps {} for other things: {} connections are taken. Raise the limit to {}, or lower the setting",
      wanted, limit, kDescriptorReserve, connections_that_fit(wanted, limit), wanted + kDescriptorReserve);
}

}  // namespace

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kNoLimit;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur < limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return limit.rlim_cur == RLIM_INFINITY ? kNoLimit : uint64_t{limit.rlim_cur};
}

size_t connections_that_fit(size_t wanted, uint64_t limit) {
  const uint64_t left = std::max(limit - std::min(limit, kDescriptorReserve), limit / 2);
  return static_cast<size_t>(std::clamp<uint64_t>(left, 1, std::max<size_t>(wanted, 1)));
}

http::ServerOptions fit_connections(http::ServerOptions options) {
  const uint64_t limit = raise_descriptor_limit();
  const size_t wanted = options.connections_max;
  options.connections_max = connections_that_fit(wanted, limit);
  if (options.connections_max < wanted) base::log_warning("{}", shortage(wanted, limit));
  return options;
}

std::string describe_descriptors(const config::Settings& settings) {
  const auto wanted = static_cast<size_t>(settings.server.max_connections);
  const uint64_t limit = raise_descriptor_limit();
  if (connections_that_fit(wanted, limit) < wanted) return "warning: " + shortage(wanted, limit);
  if (limit == kNoLimit) return fmt::format("{} connections, no limit of open files", wanted);
  return fmt::format("{} connections fit into {} open files", wanted, limit);
}

}  // namespace enhanced_gptcache::app
