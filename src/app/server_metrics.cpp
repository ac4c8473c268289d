#include "app/server_metrics.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error_table.h"
#include "base/log_event.h"

namespace enhanced_gptcache::app {
namespace {

using metrics::FamilyOptions;
using metrics::Kind;
using metrics::Sample;

FamilyOptions family(std::string name, std::string help, std::vector<std::string> labels = {}) {
  return {std::move(name), std::move(help), std::move(labels), 200};
}

double as_double(uint64_t value) { return static_cast<double>(value); }

}  // namespace

std::string_view to_string(Outcome outcome) {
  static constexpr std::string_view kNames[] = {"hit", "miss", "bypass", "refresh"};
  return kNames[static_cast<int>(outcome)];
}

ServerMetrics::ServerMetrics()
    : requests_(registry_.counters(family("requests_total", "Finished HTTP requests.", {"route", "status"}))),
      cache_requests_(registry_.counters(family(
          "cache_requests_total", "Requests the cache was asked for, one outcome each.", {"outcome"}))),
      errors_(registry_.counters(family("errors_total", "Failures, by kind.", {"kind"}))),
      feedback_(registry_.counters(family(
          "cache_feedback_total", "Feedback on answers: hits right, hits wrong, hits lost.", {"verdict"}))),
      health_checks_(registry_.counters(
          family("health_checks_total", "Answers of /health, by overall status.", {"status"}))),
      response_time_(
          registry_.histograms(family("response_time",
                                      "Time to the answer of cache requests in milliseconds (on a miss the "
                                      "upstream's time is in it).",
                                      {"layer", "outcome"}),
                               metrics::latency_bounds_ms())),
      decisions_(registry_) {
  // Series that alerts and dashboards divide by exist from the first scrape on.
  for (const char* outcome : {"hit", "miss", "bypass", "refresh"}) cache_requests_.with({outcome}).add(0);
  for (const auto& [layer, outcome] : kResponseSeries) response_time_.with({layer, to_string(outcome)});
  for (const char* kind : {"upstream", "overloaded", "internal", "io", "corrupt"})
    errors_.with({kind}).add(0);
  for (const char* verdict : {"confirmed", "false_hit", "lost_hit"}) feedback_.with({verdict}).add(0);
  for (const char* status : {"healthy", "warning", "unhealthy"}) health_checks_.with({status}).add(0);
  registry_.gauges(family("deployment_info", "Always 1; the labels say what runs.", {"version"}))
      .with({EGPTC_VERSION})
      .set(1);
}

void ServerMetrics::on_access(const http::Exchange& exchange, int status) {
  const std::string& route = exchange.notes.route;
  requests_
      .with({route.empty() ? std::string_view("other") : std::string_view(route), std::to_string(status)})
      .add();
}

void ServerMetrics::on_cache_request(Outcome outcome, std::string_view layer, double latency_ms) {
  cache_requests_.with({to_string(outcome)}).add();
  response_time_.with({layer.empty() ? "none" : layer, to_string(outcome)}).record(latency_ms);
  recent_.record(latency_ms);
}

void ServerMetrics::on_lookup(const Lookup& lookup, double latency_ms) {
  const bool hit = lookup.entry != nullptr;
  on_cache_request(hit ? Outcome::kHit : Outcome::kMiss,
                   hit ? enhanced_gptcache::to_string(lookup.layer) : "", latency_ms);
  decisions_.on_decision(lookup);
  if (!detailed_logging_) return;
  const double nearest = lookup.nearest ? lookup.nearest->similarity : 0.0;
  base::log_event("decision", {{"route", "/cache/lookup"},
                               {"outcome", hit ? "hit" : "miss"},
                               {"layer", hit ? enhanced_gptcache::to_string(lookup.layer) : ""},
                               {"reason", hit ? "" : enhanced_gptcache::to_string(lookup.reason)},
                               {"detail", lookup.detail},
                               {"similarity", hit ? lookup.similarity : nearest, 4},
                               {"ms", latency_ms, 2},
                               {"id", lookup.request_id}});
}

void ServerMetrics::on_error(ErrorCode code) { errors_.with({base::error_row(code).label}).add(); }

void ServerMetrics::on_feedback(std::string_view action) {
  // "none" (a judgement of a miss, or the second one of a hit) changes nothing and is not counted.
  if (action == "confirmed") feedback_.with({"confirmed"}).add();
  if (action == "removed") feedback_.with({"false_hit"}).add();
  if (action == "recorded_lost_hit") feedback_.with({"lost_hit"}).add();
}

void ServerMetrics::watch_cache(const EnhancedCache& cache) {
  const auto by_layer = [this, &cache](const char* name, const char* help, auto exact, auto semantic) {
    registry_.collector(family(name, help, {"layer"}), Kind::kCounter, [&cache, exact, semantic] {
      const CacheStats stats = cache.stats();
      return std::vector<Sample>{{{"exact"}, as_double(stats.*exact)},
                                 {{"semantic"}, as_double(stats.*semantic)}};
    });
  };
  by_layer("cache_hits_total", "Hits, by layer.", &CacheStats::exact_hits, &CacheStats::semantic_hits);
  by_layer("cache_misses_total", "Attempts of a layer that found nothing to serve.",
           &CacheStats::exact_misses, &CacheStats::semantic_misses);
  const auto one = [this, &cache](const char* name, const char* help, Kind kind, auto field) {
    registry_.collector(family(name, help), kind, [&cache, field] {
      return std::vector<Sample>{{{}, as_double(cache.stats().*field)}};
    });
  };
  one("cache_entries", "Entries held.", Kind::kGauge, &CacheStats::entries);
  one("cache_semantic_entries", "Entries the semantic layer can find.", Kind::kGauge,
      &CacheStats::semantic_entries);
  one("cache_partitions", "Partitions held.", Kind::kGauge, &CacheStats::partitions);
  one("cache_bytes", "Bytes the cache holds.", Kind::kGauge, &CacheStats::bytes);
  one("cache_stores_total", "Entries stored.", Kind::kCounter, &CacheStats::stores);
  one("cache_store_refused_total", "Entries refused by admission or size.", Kind::kCounter,
      &CacheStats::store_refused);
  one("cache_removals_total", "Entries removed by request.", Kind::kCounter, &CacheStats::removals);
  one("embed_failures_total", "Texts that could not be embedded.", Kind::kCounter,
      &CacheStats::embed_failures);
  one("embed_overloads_total", "Texts not embedded: the queue was full, or they waited too long in it.",
      Kind::kCounter, &CacheStats::embed_overloads);
  one("pca_files_refused_total", "Files of principal components that could not be used at start.",
      Kind::kCounter, &CacheStats::pca_files_refused);
  one("cache_lopsided_total",
      "Candidates of other callers passed over because they are far longer than the question.",
      Kind::kCounter, &CacheStats::lopsided);
  one("cache_injections_total", "Entries kept for exact match only: their question is made to deceive.",
      Kind::kCounter, &CacheStats::injections);
  registry_.collector(family("cache_evictions_total", "Entries evicted, by cause.", {"cause"}),
                      Kind::kCounter, [&cache] {
                        const CacheStats stats = cache.stats();
                        return std::vector<Sample>{{{"size"}, as_double(stats.evictions_size)},
                                                   {{"expired"}, as_double(stats.evictions_expired)},
                                                   {{"quota"}, as_double(stats.evictions_quota)}};
                      });
  registry_.collector(
      family("cache_personal_data_total",
             "Entries not stored, or stored without the question's text, by compliance.pii.", {"action"}),
      Kind::kCounter, [&cache] {
        const CacheStats stats = cache.stats();
        return std::vector<Sample>{{{"skipped"}, as_double(stats.personal_skipped)},
                                   {{"redacted"}, as_double(stats.personal_redacted)}};
      });
  decisions_.watch(cache);
}

void ServerMetrics::watch_upstream(const http::UpstreamClient& upstream) {
  const auto each = [this, &upstream](const char* name, const char* help, Kind kind, auto value) {
    registry_.collector(family(name, help, {"upstream"}), kind, [&upstream, value] {
      std::vector<Sample> samples;
      for (const auto& [target, stats] : upstream.stats())
        samples.push_back({{target}, static_cast<double>(stats.*value)});
      return samples;
    });
  };
  each("upstream_requests_total", "Requests meant for this upstream, also when its breaker was open.",
       Kind::kCounter, &http::UpstreamStats::requests);
  each("upstream_errors_total", "Upstream requests that failed before an answer.", Kind::kCounter,
       &http::UpstreamStats::errors);
  each("upstream_retries_total", "Further attempts.", Kind::kCounter, &http::UpstreamStats::retries);
  each("upstream_timeouts_total", "Upstream requests that ran out of time.", Kind::kCounter,
       &http::UpstreamStats::timeouts);
  each("upstream_connections_opened_total", "Connections opened.", Kind::kCounter,
       &http::UpstreamStats::connections_opened);
  each("upstream_connections_reused_total", "Requests on a kept-alive connection.", Kind::kCounter,
       &http::UpstreamStats::connections_reused);
  each("upstream_breaker_state", "0 closed, 1 half-open, 2 open.", Kind::kGauge,
       &http::UpstreamStats::breaker_state);
}

void ServerMetrics::watch_limits(const security::Limiter& limiter) {
  registry_.collector(family("limit_refusals_total", "Requests and entries over a limit.", {"what"}),
                      Kind::kCounter, [&limiter] {
                        const auto stats = limiter.stats();
                        return std::vector<Sample>{{{"key"}, as_double(stats.refused_key)},
                                                   {{"user"}, as_double(stats.refused_user)},
                                                   {{"address"}, as_double(stats.refused_address)},
                                                   {{"inserts"}, as_double(stats.refused_inserts)}};
                      });
  registry_.collector(family("probe_near_misses_total", "Look-ups just short of a stored entry."),
                      Kind::kCounter, [&limiter] {
                        return std::vector<Sample>{{{}, as_double(limiter.stats().near_misses)}};
                      });
  registry_.collector(family("probe_suspects_total", "Near misses of keys that look like probers."),
                      Kind::kCounter, [&limiter] {
                        return std::vector<Sample>{{{}, as_double(limiter.stats().suspects)}};
                      });
}

void ServerMetrics::watch_server(const http::Server& server) {
  const auto one = [this, &server](const char* name, const char* help, Kind kind, auto field) {
    registry_.collector(family(name, help), kind, [&server, field] {
      return std::vector<Sample>{{{}, as_double(server.stats().*field)}};
    });
  };
  one("http_connections", "Open client connections.", Kind::kGauge, &http::ServerStats::connections);
  one("http_connections_total", "Client connections accepted.", Kind::kCounter,
      &http::ServerStats::connections_total);
  one("http_connections_refused_total", "Client connections over the limit.", Kind::kCounter,
      &http::ServerStats::connections_refused);
  one("http_requests_in_flight", "Requests being answered.", Kind::kGauge, &http::ServerStats::in_flight);
  one("http_bad_requests_total", "Requests that were no proper HTTP.", Kind::kCounter,
      &http::ServerStats::bad_requests);
  one("http_timeouts_total", "Connections closed for being slow.", Kind::kCounter,
      &http::ServerStats::timeouts);
  // Nothing without TLS: a zero would look like a certificate that ended in 1970.
  registry_.collector(family("tls_certificate_expiry_timestamp_seconds",
                             "When the certificate of server.tls_cert_file ends, seconds since 1970."),
                      Kind::kGauge, [&server] {
                        const int64_t at = server.stats().tls_expires_at_s;
                        if (at == 0) return std::vector<Sample>{};
                        return std::vector<Sample>{{{}, static_cast<double>(at)}};
                      });
  registry_.collector(family("tls_reload_total", "Changed certificate files, by result.", {"result"}),
                      Kind::kCounter, [&server] {
                        const http::ServerStats stats = server.stats();
                        if (stats.tls_expires_at_s == 0) return std::vector<Sample>{};
                        return std::vector<Sample>{{{"applied"}, as_double(stats.tls_reloads)},
                                                   {{"rejected"}, as_double(stats.tls_failures)}};
                      });
}

void ServerMetrics::watch_reloads(const config::SettingsSource& source) {
  registry_.collector(family("config_reload_total", "Reloads of the settings, by result.", {"result"}),
                      Kind::kCounter, [&source] {
                        const config::ReloadStatus status = source.status();
                        return std::vector<Sample>{{{"applied"}, as_double(status.applied)},
                                                   {{"unchanged"}, as_double(status.unchanged)},
                                                   {{"rejected"}, as_double(status.rejected)}};
                      });
  registry_.collector(family("cache_target_error_rate", "Share of wrong hits that the settings aim at."),
                      Kind::kGauge, [&source] {
                        return std::vector<Sample>{{{}, source.current()->cache.target_error_rate}};
                      });
}

void ServerMetrics::watch_process(std::function<uint64_t()> memory_limit_bytes) {
  memory_limit_bytes_ = std::move(memory_limit_bytes);
  const auto one = [this](const char* name, const char* help, Kind kind, auto field) {
    registry_.collector(family(name, help), kind, [this, field] {
      return std::vector<Sample>{{{}, static_cast<double>(process().*field)}};
    });
  };
  one("memory_usage_percent", "Resident memory of its limit.", Kind::kGauge,
      &metrics::ProcessUsage::memory_percent);
  one("cpu_usage_percent", "Processor use since the last scrape, of one core.", Kind::kGauge,
      &metrics::ProcessUsage::cpu_percent);
  one("process_resident_memory_bytes", "Resident memory.", Kind::kGauge,
      &metrics::ProcessUsage::resident_bytes);
  one("process_cpu_seconds_total", "Processor time used.", Kind::kCounter,
      &metrics::ProcessUsage::cpu_seconds);
  one("process_open_fds", "Open file descriptors.", Kind::kGauge, &metrics::ProcessUsage::open_files);
  one("uptime_seconds", "Seconds since the start.", Kind::kGauge, &metrics::ProcessUsage::uptime_seconds);
}

std::string summary_json(const ServerMetrics& metrics, const CacheStats& stats) {
  using nlohmann::ordered_json;
  const auto layer = [](uint64_t hits, uint64_t misses) {
    const uint64_t attempts = hits + misses;
    const double rate = attempts == 0 ? 0.0 : as_double(hits) / as_double(attempts);
    return ordered_json{{"hits", hits}, {"misses", misses}, {"hit_rate", rate}};
  };
  const metrics::TimesSummary times = metrics.recent_times();
  const metrics::ProcessUsage usage = metrics.process();
  const ordered_json out = {{"response_times",
                             {{"count", times.count},
                              {"mean", times.mean},
                              {"p50", times.p50},
                              {"p95", times.p95},
                              {"p99", times.p99},
                              {"min", times.min},
                              {"max", times.max}}},
                            {"cache_performance",
                             {{"exact", layer(stats.exact_hits, stats.exact_misses)},
                              {"semantic", layer(stats.semantic_hits, stats.semantic_misses)}}},
                            {"system_metrics",
                             {{"cpu_percent", usage.cpu_percent},
                              {"memory_percent", usage.memory_percent},
                              {"uptime_seconds", usage.uptime_seconds}}}};
  return out.dump(2) + "\n";
}

}  // namespace enhanced_gptcache::app
