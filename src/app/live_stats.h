#pragma once
// The figures an operator watches, as one line of JSON: counts since the start, from which the watcher makes
// rates, and what is true at the moment. And what labels have taught, for /admin/stats and /admin/tau.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "admin/live_api.h"
#include "app/proxy_metrics.h"
#include "app/server_metrics.h"
#include "http/server.h"

namespace enhanced_gptcache::app {

/// All outlive the server's handlers.
struct LiveSources {
  const ServerMetrics& metrics;
  const ProxyMetrics& proxy;
  const EnhancedCache& cache;
  const http::Server& server;
  native::CallerOf caller_of;
};
/// What /admin/events and /admin/tau ask; `ready` and `offload` are left to the caller.
admin::LiveHooks live_hooks(const LiveSources& from);

/// Thread rule: any thread.
std::string live_json(const ServerMetrics& metrics, const ProxyMetrics& proxy, const EnhancedCache& cache,
                      const http::ServerStats& server);

/// What /admin/stats tells of decisions: the shadow report, labels, and how likely candidates were.
nlohmann::ordered_json decisions_report(const DecisionMetrics& metrics, const EnhancedCache& cache);

/// Judged decisions by the probability that was stated, in steps of a hundredth; steps without labels are
/// left out: [{"from", "right": {source: n}, "wrong": {source: n}, "lost"}].
nlohmann::ordered_json labels_by_probability(const EnhancedCache& cache);

/// The body of /admin/tau. `user` empty: nobody is asked for in particular. `tenant` is whole
/// ("tenant:acme").
std::string tau_json(const EnhancedCache& cache, size_t users_max, std::string_view tenant,
                     std::string_view user);

}  // namespace enhanced_gptcache::app
