#pragma once
// The inputs of /health, made from the parts of a running server.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "admin/health.h"
#include "app/options_from_settings.h"
#include "app/server_metrics.h"
#include "config/settings_source.h"
#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::app {

/// Everything outlives the checks. `embedder` null: switched off.
struct HealthInputsSource {
  EnhancedCache* cache = nullptr;
  const Embedder* embedder = nullptr;
  config::SettingsSource* source = nullptr;
  const ServerMetrics* metrics = nullptr;
  std::string storage_path;
  ThreadBudget budget;
};

admin::HealthInputs health_inputs(const HealthInputsSource& from);

/// Series health_status: what /health would say, worked out at each scrape, so that an alert on it needs
/// nobody who asks /health. Costs one embedding per scrape.
void watch_health(metrics::Registry& registry, admin::HealthInputs inputs);

/// The body of /admin/stats; the members of `decisions` stand beside those made here.
std::string stats_json(const CacheStats& cache, const http::ServerStats& server,
                       const nlohmann::ordered_json& decisions);

}  // namespace enhanced_gptcache::app
