#pragma once
// GET /health: every check with its figures, the worst of them as the overall status. The checks
// are functions the app gives, so that a test can make each of them fail.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::admin {

enum class HealthStatus { kHealthy, kWarning, kUnhealthy };
std::string_view to_string(HealthStatus status);

struct ComponentState {
  HealthStatus status = HealthStatus::kHealthy;
  bool enabled = true;
  std::string detail;  ///< empty: nothing to say
};

struct ConfigurationState {
  bool valid = true;  ///< the settings in force are valid (they always are: an invalid file changes nothing)
  std::string last_error;     ///< of the last reload that was refused; empty when the last one worked
  std::string environment{};  ///< production, staging or development; empty: not said
};

struct HealthInputs {
  /// One uncounted lookup, in milliseconds; touches no user data and no hit counters.
  std::function<Result<double>()> probe_ms;
  std::function<double()> memory_percent;
  std::function<ConfigurationState()> configuration;
  std::vector<std::pair<std::string, std::function<ComponentState()>>> components;
  /// More top-level fields, as JSON: {"threads": ...}. Empty: none.
  std::function<std::string()> budget_json;
};

struct HealthReport {
  HealthStatus overall = HealthStatus::kHealthy;
  std::string json;
  int http_status() const { return overall == HealthStatus::kUnhealthy ? 503 : 200; }
};

/// Thread rule: any thread, as far as the inputs are. Costs one embedding.
HealthReport check_health(const HealthInputs& inputs, int64_t now_ms);

constexpr double kProbeThresholdMs = 100.0;
constexpr double kMemoryWarningPercent = 80.0;
constexpr double kMemoryCriticalPercent = 90.0;

}  // namespace enhanced_gptcache::admin
