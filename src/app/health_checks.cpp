#include "app/health_checks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace enhanced_gptcache::app {
namespace {

using admin::ComponentState;
using admin::HealthStatus;

/// Below this the storage folder is about to fail.
constexpr uint64_t kFreeBytesMin = uint64_t{64} << 20U;

/// One uncounted lookup in a tenant that no credential can name (tenants are hashes or "anonymous").
Result<double> probe(EnhancedCache& cache, bool semantic) {
  Prompt prompt = make_prompt("health check probe");
  prompt.tenant = "health:probe";
  LookupOptions options;
  options.counted = false;
  options.semantic = semantic;
  const int64_t started_us = base::system_clock().mono_us();
  EGPTC_TRY(const Lookup found, cache.lookup(prompt, options));
  if (found.entry != nullptr)
    return fail(ErrorCode::kInternal, "the probe was answered though nothing was stored for it");
  return static_cast<double>(base::system_clock().mono_us() - started_us) / 1000.0;
}

/// A graph that is built anew costs time and no answer: nothing to warn about.
std::string graphs_text(const StorageStats& stats) {
  std::string text;
  if (stats.graphs_restored > 0)
    text +=
        fmt::format("; {} graphs of {} entries restored", stats.graphs_restored, stats.graph_rows_restored);
  if (stats.graphs_put_aside > 0)
    text += fmt::format("; {} graph snapshots put aside ({})", stats.graphs_put_aside, stats.graph_problem);
  if (stats.graph_rows_waiting > 0)
    text += fmt::format("; {} entries wait for their graph", stats.graph_rows_waiting);
  return text;
}

ComponentState storage_state(const EnhancedCache& cache, const std::string& path) {
  const StorageStats stats = cache.storage_stats();
  if (stats.is_failing)
    return {HealthStatus::kWarning, true, "entries are served but none is stored: " + stats.problem};
  if (::access(path.c_str(), W_OK | X_OK) != 0) {
    return {HealthStatus::kWarning, true, fmt::format("{} is not writable: {}", path, std::strerror(errno))};
  }
  std::error_code error;
  const auto space = std::filesystem::space(path, error);
  if (!error && space.available < kFreeBytesMin) {
    return {HealthStatus::kWarning, true,
            fmt::format("{} has only {} MB free", path, space.available >> 20U)};
  }
  if (!stats.problem.empty()) return {HealthStatus::kWarning, true, stats.problem};
  if (!stats.is_enabled) return {HealthStatus::kHealthy, false, "storage.enabled is false: memory only"};
  return {HealthStatus::kHealthy, true,
          fmt::format("{} MB on disk, {} entries loaded in {} ms{}", stats.disk_bytes >> 20U, stats.loaded,
                      stats.load_ms, graphs_text(stats))};
}

ComponentState embedder_state(const Embedder* embedder) {
  if (embedder == nullptr) return {HealthStatus::kHealthy, false, "embedder.enabled is false"};
  const auto probe = embedder->embed("health check probe");
  if (!probe) return {HealthStatus::kUnhealthy, true, probe.error().message};
  return {HealthStatus::kHealthy, true, fmt::format("kernel {}", embedder->kernel_name())};
}

ComponentState pca_state(const EnhancedCache& cache, bool enabled) {
  const CacheStats stats = cache.stats();
  std::string detail = stats.pca_active ? "active" : "not active yet";
  if (enabled) {
    detail += fmt::format(": {} samples, fit {}, {:.1f} % of the variance", stats.pca_samples,
                          stats.pca_version, 100 * stats.pca_explained_variance);
    if (stats.pca_loaded) detail += ", goes on from its file";
    if (!stats.pca_problem.empty()) detail += "; trained afresh: " + stats.pca_problem;
  }
  return {HealthStatus::kHealthy, enabled, std::move(detail)};
}

/// Asked for and not to be had is a warning: exact hits go on.
ComponentState verifier_state(const EnhancedCache& cache, const config::Settings& settings) {
  const CacheStats stats = cache.stats();
  if (!wants_verifier(settings)) return {HealthStatus::kHealthy, false, ""};
  if (!stats.verifier_problem.empty())
    return {HealthStatus::kWarning, true, "only exact hits are served: " + stats.verifier_problem};
  return {HealthStatus::kHealthy, true, settings.cache.verifier};
}

admin::ConfigurationState configuration_state(const config::SettingsSource& source) {
  const config::ReloadStatus status = source.status();
  admin::ConfigurationState state;
  state.environment = source.loaded()->environment;
  for (const config::Problem& problem : status.errors) {
    state.last_error += (state.last_error.empty() ? "" : "; ") + problem.text();
  }
  if (!status.valid && state.last_error.empty()) state.last_error = "the newest settings file is invalid";
  return state;
}

}  // namespace

admin::HealthInputs health_inputs(const HealthInputsSource& from) {
  admin::HealthInputs inputs;
  inputs.probe_ms = [from] { return probe(*from.cache, from.embedder != nullptr); };
  inputs.memory_percent = [from] { return from.metrics->process().memory_percent; };
  inputs.configuration = [from] { return configuration_state(*from.source); };
  inputs.components = {
      {"pca_wrapper", [from] { return pca_state(*from.cache, from.source->current()->pca.enabled); }},
      {"tau_manager",
       [from] {
         return ComponentState{HealthStatus::kHealthy, from.source->current()->federated.enabled,
                               fmt::format("global tau {:.4f}", from.cache->stats().global_tau)};
       }},
      {"context_filter",
       [from] {
         return ComponentState{HealthStatus::kHealthy, from.source->current()->context.enabled, ""};
       }},
      {"verifier", [from] { return verifier_state(*from.cache, *from.source->current()); }},
      {"embedder", [from] { return embedder_state(from.embedder); }},
      {"storage", [from] { return storage_state(*from.cache, from.storage_path); }}};
  inputs.budget_json = [from] {
    const metrics::ProcessUsage usage = from.metrics->process();
    return nlohmann::json{{"cores", from.budget.cores},
                          {"server_threads", from.budget.server_threads},
                          {"embed_threads", from.embedder == nullptr ? 0 : from.budget.embed_threads},
                          {"memory_limit_mb", usage.memory_limit_bytes >> 20U},
                          {"resident_mb", usage.resident_bytes >> 20U}}
        .dump();
  };
  return inputs;
}

void watch_health(metrics::Registry& registry, admin::HealthInputs inputs) {
  metrics::FamilyOptions family;
  family.name = "health_status";
  family.help = "What /health would say: 0 healthy, 1 warning, 2 unhealthy.";
  registry.collector(family, metrics::Kind::kGauge, [inputs = std::move(inputs)] {
    const auto report = admin::check_health(inputs, base::system_clock().wall_ms());
    return std::vector<metrics::Sample>{{{}, static_cast<double>(report.overall)}};
  });
}

std::string stats_json(const CacheStats& cache, const http::ServerStats& server,
                       const nlohmann::ordered_json& decisions) {
  using nlohmann::ordered_json;
  ordered_json misses;
  for (size_t i = 0; i < std::size(cache.misses_by_reason); ++i) {
    misses[std::string(to_string(static_cast<MissReason>(i)))] = cache.misses_by_reason[i];
  }
  ordered_json out = {{"cache",
                       {{"entries", cache.entries},
                        {"semantic_entries", cache.semantic_entries},
                        {"partitions", cache.partitions},
                        {"bytes", cache.bytes},
                        {"exact_hits", cache.exact_hits},
                        {"exact_misses", cache.exact_misses},
                        {"semantic_hits", cache.semantic_hits},
                        {"semantic_misses", cache.semantic_misses},
                        {"misses_by_reason", misses},
                        {"stores", cache.stores},
                        {"store_refused", cache.store_refused},
                        {"evictions_size", cache.evictions_size},
                        {"evictions_expired", cache.evictions_expired},
                        {"evictions_quota", cache.evictions_quota},
                        {"removals", cache.removals},
                        {"flights_joined", cache.flights_joined},
                        {"embed_failures", cache.embed_failures},
                        {"embed_overloads", cache.embed_overloads},
                        {"pca_active", cache.pca_active},
                        {"pca_files_refused", cache.pca_files_refused},
                        {"global_tau", cache.global_tau}}},

                      {"server",
                       {{"connections", server.connections},
                        {"connections_total", server.connections_total},
                        {"connections_refused", server.connections_refused},
                        {"requests", server.requests},
                        {"in_flight", server.in_flight},
                        {"bad_requests", server.bad_requests},
                        {"timeouts", server.timeouts}}}};
  out.update(decisions);
  return out.dump(2) + "\n";
}

}  // namespace enhanced_gptcache::app
