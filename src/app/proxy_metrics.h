#pragma once
// The proxy's reports as metrics: outcomes, learning, tokens saved and spent, stage latencies, and
// with monitoring.detailed_logging one line per decision.

#include <atomic>

#include "app/cost_model.h"
#include "app/server_metrics.h"
#include "proxy/observer.h"

namespace enhanced_gptcache::app {

/// Thread rule: any thread. `server` outlives it.
class ProxyMetrics final : public proxy::ProxyObserver {
 public:
  explicit ProxyMetrics(ServerMetrics& server);

  /// monitoring.detailed_logging and monitoring.performance_tracking.
  void configure(bool detailed_logging, bool performance_tracking);

  /// monitoring.prices, which have been checked, and monitoring.currency.
  void set_prices(const std::vector<std::string>& rows, const std::string& currency);

  const CostModel& costs() const { return costs_; }
  uint64_t tokens_saved() const { return tokens_saved_.value(); }
  uint64_t tokens_spent() const { return tokens_spent_.value(); }

  void on_request(const proxy::RequestRecord& record) override;
  void on_lookup(const Lookup& lookup) override;
  void on_stage(proxy::Stage stage, int64_t duration_us) override;
  void on_upstream_error(std::string_view label) override;
  void on_cache_error(proxy::Stage stage, ErrorCode code) override;
  void on_learn(std::string_view result) override;
  void on_shadow_check(std::string_view result) override { server_.decisions().on_shadow_check(result); }
  void on_judge(std::string_view verdict) override { server_.decisions().on_judge(verdict); }

 private:
  ServerMetrics& server_;
  std::atomic<bool> detailed_logging_{false};
  std::atomic<bool> performance_tracking_{true};
  metrics::Family<metrics::Counter>& learned_;
  metrics::Family<metrics::Counter>& fail_open_;
  metrics::Family<metrics::Histogram>& stage_time_;
  metrics::Family<metrics::Histogram>& first_token_;
  metrics::Counter& joined_;
  metrics::Counter& tokens_saved_;
  metrics::Counter& tokens_spent_;
  CostModel costs_;
};

}  // namespace enhanced_gptcache::app
