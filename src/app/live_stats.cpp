#include "app/live_stats.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cache/learning.h"
#include "security/identity.h"

namespace enhanced_gptcache::app {
namespace {

using nlohmann::ordered_json;

/// Text of callers may hold anything.
std::string one_line(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json latency_json(const ServerMetrics& metrics) {
  ordered_json series = ordered_json::array();
  for (const auto& [layer, outcome] : kResponseSeries) {
    const metrics::Histogram& times = metrics.response_times(layer, outcome);
    const metrics::Histogram::View view = times.view();
    series.push_back({{"layer", layer},
                      {"outcome", to_string(outcome)},
                      {"buckets", view.buckets},
                      {"sum", view.sum},
                      {"count", view.count}});
  }
  return {{"bounds_ms", metrics::latency_bounds_ms()}, {"series", std::move(series)}};
}

ordered_json decisions_json(const CacheStats& stats) {
  ordered_json out = {{"hit", stats.semantic_hits}};
  for (size_t i = 0; i < std::size(stats.misses_by_reason); ++i)
    out[std::string(to_string(static_cast<MissReason>(i)))] = stats.misses_by_reason[i];
  return out;
}

ordered_json recent_json(const metrics::TimesSummary& times) {
  return {{"count", times.count}, {"mean", times.mean}, {"p50", times.p50},
          {"p95", times.p95},     {"p99", times.p99},   {"max", times.max}};
}

}  // namespace

admin::LiveHooks live_hooks(const LiveSources& from) {
  admin::LiveHooks hooks;
  hooks.live_json = [from] { return live_json(from.metrics, from.proxy, from.cache, from.server.stats()); };
  hooks.tau_json = [from](const http::Exchange& exchange, const admin::TauQuestion& question) {
    std::string tenant = security::tenant_of_name(question.tenant);
    if (question.tenant.empty()) {
      const auto caller = from.caller_of(exchange);
      tenant = caller ? caller->tenant : "";
    }
    return tau_json(from.cache, question.limit, tenant, question.user);
  };
  return hooks;
}

std::string live_json(const ServerMetrics& metrics, const ProxyMetrics& proxy, const EnhancedCache& cache,
                      const http::ServerStats& server) {
  const CacheStats stats = cache.stats();
  const metrics::ProcessUsage usage = metrics.process();
  ordered_json requests;
  for (const Outcome outcome : {Outcome::kHit, Outcome::kMiss, Outcome::kBypass, Outcome::kRefresh})
    requests[std::string(to_string(outcome))] = metrics.cache_requests(outcome);
  ordered_json feedback;
  for (const char* verdict : {"confirmed", "false_hit", "lost_hit"})
    feedback[verdict] = metrics.feedback(verdict);
  return one_line({{"at_ms", base::system_clock().wall_ms()},
                   {"uptime_seconds", usage.uptime_seconds},
                   {"requests", requests},
                   {"layers",
                    {{"exact", {{"hits", stats.exact_hits}, {"misses", stats.exact_misses}}},
                     {"semantic", {{"hits", stats.semantic_hits}, {"misses", stats.semantic_misses}}}}},
                   {"latency", latency_json(metrics)},
                   {"recent_ms", recent_json(metrics.recent_times())},
                   {"tokens", {{"saved", proxy.tokens_saved()}, {"spent", proxy.tokens_spent()}}},
                   {"cost", proxy.costs().json()},
                   {"decisions", decisions_json(stats)},
                   {"guards", metrics.decisions().vetoes()},
                   {"feedback", feedback},
                   {"cache",
                    {{"entries", stats.entries},
                     {"semantic_entries", stats.semantic_entries},
                     {"partitions", stats.partitions},
                     {"bytes", stats.bytes},
                     {"bytes_max", cache.options().bytes_max},
                     {"evictions_size", stats.evictions_size},
                     {"evictions_expired", stats.evictions_expired},
                     {"evictions_quota", stats.evictions_quota},
                     {"global_tau", stats.global_tau}}},
                   {"process",
                    {{"memory_percent", usage.memory_percent},
                     {"cpu_percent", usage.cpu_percent},
                     {"resident_bytes", usage.resident_bytes},
                     {"memory_limit_bytes", usage.memory_limit_bytes}}},
                   {"server",
                    {{"connections", server.connections},
                     {"in_flight", server.in_flight},
                     {"requests", server.requests}}}});
}

ordered_json decisions_report(const DecisionMetrics& metrics, const EnhancedCache& cache) {
  return {{"shadow", metrics.shadow_report(cache)},
          {"labels_by_probability", labels_by_probability(cache)},
          {"candidates", metrics.candidates()}};
}

ordered_json labels_by_probability(const EnhancedCache& cache) {
  ordered_json out = ordered_json::array();
  const cache::LearningSource* source = cache::learning_of(cache);
  if (source == nullptr) return out;
  const auto bins = source->learning(0).labels;
  for (size_t i = 0; i < bins.size(); ++i) {
    ordered_json right = ordered_json::object();
    ordered_json wrong = ordered_json::object();
    for (size_t label = 0; label < kLabelSources; ++label) {
      const std::string name(to_string(static_cast<LabelSource>(label)));
      if (bins[i].right[label] > 0) right[name] = bins[i].right[label];
      if (bins[i].wrong[label] > 0) wrong[name] = bins[i].wrong[label];
    }
    if (right.empty() && wrong.empty() && bins[i].lost == 0) continue;
    out.push_back({{"from", static_cast<double>(i) / static_cast<double>(bins.size())},
                   {"right", right},
                   {"wrong", wrong},
                   {"lost", bins[i].lost}});
  }
  return out;
}

std::string tau_json(const EnhancedCache& cache, size_t users_max, std::string_view tenant,
                     std::string_view user) {
  const cache::LearningSource* source = cache::learning_of(cache);
  if (source == nullptr) return "{}";
  const TauListing taus = source->learning(users_max).taus;
  const TauSummary summary = cache.stats().tau;
  ordered_json list = ordered_json::array();
  for (const TauUser& one : taus.newest)
    list.push_back(
        {{"user", one.name}, {"tau", one.tau}, {"samples", one.samples}, {"last_update", one.last_update}});
  ordered_json rounds = ordered_json::array();
  for (const TauRound& round : taus.rounds)
    rounds.push_back({{"number", round.number},
                      {"at_ms", round.at_ms},
                      {"users", round.users},
                      {"from", round.from},
                      {"combined", round.combined},
                      {"to", round.to}});
  ordered_json out = {{"enabled", taus.options.enabled},
                      {"initial_tau", taus.options.initial_tau},
                      {"tau_min", taus.options.tau_min},
                      {"tau_max", taus.options.tau_max},
                      {"learning_rate", taus.options.learning_rate},
                      {"aggregation_frequency", taus.options.aggregation_frequency},
                      {"global_tau", taus.global},
                      {"is_learned", taus.is_learned},
                      {"updates", taus.updates},
                      {"aggregations", taus.aggregations},
                      {"users", taus.users},
                      {"classes",
                       {{"below", summary.below},
                        {"initial", summary.initial},
                        {"above", summary.above},
                        {"mean_below", summary.mean_below},
                        {"mean_above", summary.mean_above}}},
                      {"list", list},
                      {"rounds", rounds}};
  if (!user.empty()) {
    const cache::UserThreshold asked = source->threshold_of(tenant, user);
    out["asked"] = {{"user", asked.name}, {"tau", asked.tau}, {"source", asked.source}};
  }
  return one_line(out);
}

}  // namespace enhanced_gptcache::app
