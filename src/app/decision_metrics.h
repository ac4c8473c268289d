#pragma once
// Metrics of decisions: what was refused and why, how likely the served were right, what labels say, and how
// far thresholds have moved. Labels are from fixed lists, so the series are bounded whatever callers send.

#include <atomic>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "metrics/registry.h"

namespace enhanced_gptcache::app {

/// Thread rule: any thread. `registry` outlives it, and the watched cache every render.
class DecisionMetrics {
 public:
  explicit DecisionMetrics(metrics::Registry& registry);

  /// One counted lookup.
  void on_decision(const Lookup& lookup);
  /// As proxy::ProxyObserver.
  void on_shadow_check(std::string_view result) { shadow_checks_.with({result}).add(); }
  void on_judge(std::string_view verdict) { judged_.with({verdict}).add(); }
  void watch(const EnhancedCache& cache);

  /// What an operator reads before switching shadow mode off (part of /admin/stats).
  nlohmann::ordered_json shadow_report(const EnhancedCache& cache) const;
  /// Semantic misses by the guard that refused.
  nlohmann::ordered_json vetoes() const;
  /// The best candidates of decisions, served or not: {"similarity", "probability"}, each {"bounds", "hit",
  /// "miss"} with cumulative counts.
  nlohmann::ordered_json candidates() const;

 private:
  void watch_labels(const EnhancedCache& cache);
  void watch_thresholds(const EnhancedCache& cache);

  metrics::Registry& registry_;
  metrics::Family<metrics::Histogram>& similarity_;
  metrics::Family<metrics::Histogram>& probability_;
  metrics::Family<metrics::Counter>& vetoes_;
  metrics::Family<metrics::Counter>& shadow_checks_;
  metrics::Family<metrics::Counter>& judged_;
  metrics::Histogram& pair_encoder_;
};

}  // namespace enhanced_gptcache::app
