#pragma once
// HTTP load from one thread, with less cost of its own than what it measures; for the subcommand bench.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::cli {

struct LoadPlan {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  std::string path;
  std::vector<std::string> headers;  ///< whole lines, without their end
  std::vector<std::string> bodies;   ///< sent in turn from `start` on, and over again
  size_t start = 0;
  size_t connections = 1;
  size_t requests = 0;  ///< 0: as many as `seconds` allow
  double seconds = 5;
  double rate = 0;  ///< requests a second, due at Poisson times (open loop); 0: as fast as answers come
};

struct LoadOutcome {
  /// By X-Cache-Layer ("none" without one), in order; from when the request was due, so that a server that
  /// stalls cannot hide it by slowing the load (coordinated omission).
  std::map<std::string, std::vector<double>> milliseconds;
  std::map<int, size_t> statuses;
  std::string first_refusal;  ///< begin of the first body with a status of 400 or more
  size_t failed = 0;          ///< connections that ended under a request
  size_t most_waiting = 0;    ///< requests due at one time without a free connection
  double seconds = 0;
};

/// Blocks for the whole load; give it a core. Answers need a Content-Length. kUnavailable: nobody
/// answers there.
Result<LoadOutcome> run_load(const LoadPlan& plan);

/// Of sorted values; `share` in 0..1.
double percentile(const std::vector<double>& sorted, double share);

}  // namespace enhanced_gptcache::cli
