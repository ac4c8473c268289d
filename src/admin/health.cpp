#include "admin/health.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace enhanced_gptcache::admin {
namespace {

using nlohmann::ordered_json;

ordered_json check_cache(const HealthInputs& inputs, HealthStatus& status) {
  ordered_json check;
  const Result<double> took_ms = inputs.probe_ms();
  if (!took_ms) {
    status = HealthStatus::kUnhealthy;
    check["status"] = to_string(status);
    check["error"] = took_ms.error().message;
  } else {
    status = *took_ms > kProbeThresholdMs ? HealthStatus::kWarning : HealthStatus::kHealthy;
    check["status"] = to_string(status);
    check["response_time_ms"] = *took_ms;
  }
  check["threshold_ms"] = kProbeThresholdMs;
  return check;
}

ordered_json check_memory(const HealthInputs& inputs, HealthStatus& status) {
  const double percent = inputs.memory_percent();
  status = percent >= kMemoryCriticalPercent  ? HealthStatus::kUnhealthy
           : percent >= kMemoryWarningPercent ? HealthStatus::kWarning
                                              : HealthStatus::kHealthy;
  return {{"status", to_string(status)},
          {"usage_percent", percent},
          {"threshold_warning", kMemoryWarningPercent},
          {"threshold_critical", kMemoryCriticalPercent}};
}

ordered_json check_configuration(const HealthInputs& inputs, HealthStatus& status) {
  const ConfigurationState state = inputs.configuration();
  status = !state.valid                ? HealthStatus::kUnhealthy
           : !state.last_error.empty() ? HealthStatus::kWarning
                                       : HealthStatus::kHealthy;
  ordered_json check = {{"status", to_string(status)}, {"valid", state.valid && state.last_error.empty()}};
  if (!state.environment.empty()) check["environment"] = state.environment;
  if (!state.last_error.empty()) check["error"] = state.last_error;
  return check;
}

ordered_json check_components(const HealthInputs& inputs, HealthStatus& status) {
  ordered_json checks = ordered_json::object();
  status = HealthStatus::kHealthy;
  for (const auto& [name, component] : inputs.components) {
    const ComponentState state = component();
    status = std::max(status, state.status);
    checks[name] = {{"status", to_string(state.status)}, {"enabled", state.enabled}};
    if (!state.detail.empty()) checks[name]["detail"] = state.detail;
  }
  return checks;
}

}  // namespace

std::string_view to_string(HealthStatus status) {
  static constexpr std::string_view kNames[] = {"healthy", "warning", "unhealthy"};
  return kNames[static_cast<int>(status)];
}

HealthReport check_health(const HealthInputs& inputs, int64_t now_ms) {
  HealthReport report;
  ordered_json checks;
  using Check = ordered_json (*)(const HealthInputs&, HealthStatus&);
  static constexpr std::pair<const char*, Check> kChecks[] = {{"cache_functionality", check_cache},
                                                              {"memory_usage", check_memory},
                                                              {"configuration", check_configuration},
                                                              {"components", check_components}};
  for (const auto& [name, check] : kChecks) {
    HealthStatus status = HealthStatus::kHealthy;
    checks[name] = check(inputs, status);
    report.overall = std::max(report.overall, status);
  }
  ordered_json out = {{"timestamp", static_cast<double>(now_ms) / 1000.0},
                      {"overall_status", to_string(report.overall)},
                      {"version", EGPTC_VERSION},
                      {"checks", std::move(checks)}};
  if (inputs.budget_json) out["budget"] = ordered_json::parse(inputs.budget_json(), nullptr, false);
  report.json = out.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  return report;
}

}  // namespace enhanced_gptcache::admin
