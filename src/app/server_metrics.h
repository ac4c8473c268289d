#pragma once
// The server's metrics: every name operators know, fed by the access hook, the observers of proxy
// and native API, and by stats() of the components at scrape time.

#include <atomic>
#include <functional>
#include <string>
#include <utility>

#include "app/decision_metrics.h"
#include "config/settings_source.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "http/server.h"
#include "http/upstream.h"
#include "metrics/process.h"
#include "metrics/recent_times.h"
#include "metrics/registry.h"
#include "native/native_api.h"
#include "security/limiter.h"

namespace enhanced_gptcache::app {

/// How a request ended, for cache_requests_total and response_time.
enum class Outcome { kHit, kMiss, kBypass, kRefresh };
std::string_view to_string(Outcome outcome);

/// Every series of response_time that requests can fall into.
inline constexpr std::pair<std::string_view, Outcome> kResponseSeries[] = {
    {"exact", Outcome::kHit},   {"semantic", Outcome::kHit}, {"none", Outcome::kMiss},
    {"none", Outcome::kBypass}, {"none", Outcome::kRefresh},
};

/// Thread rule: any thread after the constructor. Outlives everything that reports to it.
class ServerMetrics final : public native::NativeObserver {
 public:
  ServerMetrics();

  metrics::Registry& registry() { return registry_; }
  /// One finished request of any route (the server's access hook).
  void on_access(const http::Exchange& exchange, int status);
  /// One cache request: proxied or native. `layer` is empty unless it was a hit.
  void on_cache_request(Outcome outcome, std::string_view layer, double latency_ms);
  DecisionMetrics& decisions() { return decisions_; }
  const DecisionMetrics& decisions() const { return decisions_; }
  void on_error(std::string_view kind) { errors_.with({kind}).add(); }

  // native::NativeObserver
  void on_lookup(const Lookup& lookup, double latency_ms) override;
  void on_error(ErrorCode code) override;
  void on_feedback(std::string_view action) override;
  /// One answer of /health: what probes and people were told.
  void on_health(std::string_view overall_status) { health_checks_.with({overall_status}).add(); }

  /// monitoring.detailed_logging: one log line per decision of the native API, too.
  void set_detailed_logging(bool on) { detailed_logging_ = on; }

  /// Values other components keep. Each is asked at scrape time.
  void watch_cache(const EnhancedCache& cache);
  void watch_upstream(const http::UpstreamClient& upstream);
  void watch_server(const http::Server& server);
  void watch_limits(const security::Limiter& limiter);
  void watch_reloads(const config::SettingsSource& source);
  void watch_process(std::function<uint64_t()> memory_limit_bytes);

  metrics::ProcessUsage process() const { return sampler_.sample(memory_limit_bytes_()); }
  uint64_t cache_requests(Outcome outcome) const {
    return cache_requests_.with({to_string(outcome)}).value();
  }
  uint64_t feedback(std::string_view verdict) const { return feedback_.with({verdict}).value(); }
  const metrics::Histogram& response_times(std::string_view layer, Outcome outcome) const {
    return response_time_.with({layer, to_string(outcome)});
  }
  metrics::TimesSummary recent_times() const { return recent_.summary(); }

 private:
  metrics::Registry registry_;
  metrics::RecentTimes recent_;
  mutable metrics::ProcessSampler sampler_;
  std::function<uint64_t()> memory_limit_bytes_ = [] { return uint64_t{0}; };
  std::atomic<bool> detailed_logging_{false};
  metrics::Family<metrics::Counter>& requests_;
  metrics::Family<metrics::Counter>& cache_requests_;
  metrics::Family<metrics::Counter>& errors_;
  metrics::Family<metrics::Counter>& feedback_;
  metrics::Family<metrics::Counter>& health_checks_;
  metrics::Family<metrics::Histogram>& response_time_;
  DecisionMetrics decisions_;
};

/// The JSON form of /metrics: response_times, cache_performance, system_metrics.
std::string summary_json(const ServerMetrics& metrics, const CacheStats& stats);

}  // namespace enhanced_gptcache::app
