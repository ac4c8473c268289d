#include "app/proxy_metrics.h"

#include "base/error_table.h"
#include "base/log_event.h"

namespace enhanced_gptcache::app {
namespace {

Outcome outcome_of(proxy::Outcome outcome) {
  switch (outcome) {
    case proxy::Outcome::kHit:
      return Outcome::kHit;
    case proxy::Outcome::kMiss:
      return Outcome::kMiss;
    case proxy::Outcome::kBypass:
      return Outcome::kBypass;
    case proxy::Outcome::kRefresh:
      return Outcome::kRefresh;
  }
  return Outcome::kMiss;
}

double to_ms(int64_t duration_us) { return static_cast<double>(duration_us) / 1000.0; }

}  // namespace

ProxyMetrics::ProxyMetrics(ServerMetrics& server)
    : server_(server),
      learned_(server.registry().counters({"cache_learned_total",
                                           "Upstream answers, by whether they were stored and why not.",
                                           {"result"},
                                           50})),
      fail_open_(server.registry().counters({"cache_fail_open_total",
                                             "Requests that went on without the cache after a failure.",
                                             {"stage"},
                                             50})),
      stage_time_(server.registry().histograms(
          {"stage_time", "Time of one stage of a request in milliseconds.", {"stage"}, 50},
          metrics::latency_bounds_ms())),
      first_token_(server.registry().histograms({"time_to_first_token",
                                                 "Request read to first byte of the answer, in milliseconds.",
                                                 {"outcome"},
                                                 10},
                                                metrics::latency_bounds_ms())),
      joined_(server.registry().counter("single_flight_joined_total",
                                        "Requests that shared another caller's upstream call.")),
      tokens_saved_(server.registry().counter("tokens_saved_total", "Tokens that hits did not buy again.")),
      tokens_spent_(server.registry().counter("tokens_spent_total", "Tokens that misses bought upstream.")),
      costs_(server.registry()) {
  // Alerts look at it before the first failure.
  for (const proxy::Stage stage : {proxy::Stage::kLookup, proxy::Stage::kStore})
    fail_open_.with({proxy::to_string(stage)}).add(0);
}

void ProxyMetrics::configure(bool detailed_logging, bool performance_tracking) {
  detailed_logging_ = detailed_logging;
  performance_tracking_ = performance_tracking;
}

void ProxyMetrics::set_prices(const std::vector<std::string>& rows, const std::string& currency) {
  std::vector<config::Price> prices;
  for (const std::string& row : rows)
    if (auto price = config::parse_price(row)) prices.push_back(*std::move(price));
  costs_.set(std::move(prices), currency);
}

void ProxyMetrics::on_request(const proxy::RequestRecord& record) {
  server_.on_cache_request(outcome_of(record.outcome), record.layer, to_ms(record.total_us));
  if (record.joined) joined_.add();
  tokens_saved_.add(record.saved.total());
  tokens_spent_.add(record.spent.total());
  costs_.count(record.model, record.saved, record.spent);
  if (performance_tracking_)
    first_token_.with({app::to_string(outcome_of(record.outcome))}).record(to_ms(record.ttft_us));
  if (detailed_logging_) {
    base::log_event("decision", {{"route", record.route},
                                 {"outcome", app::to_string(outcome_of(record.outcome))},
                                 {"layer", record.layer},
                                 {"reason", record.reason},
                                 {"status", static_cast<double>(record.status), 0},
                                 {"stream", record.stream},
                                 {"joined", record.joined},
                                 {"ms", to_ms(record.total_us), 2}});
  }
}

void ProxyMetrics::on_lookup(const Lookup& lookup) { server_.decisions().on_decision(lookup); }

void ProxyMetrics::on_stage(proxy::Stage stage, int64_t duration_us) {
  if (performance_tracking_) stage_time_.with({proxy::to_string(stage)}).record(to_ms(duration_us));
}

void ProxyMetrics::on_upstream_error(std::string_view label) {
  server_.on_error("upstream");
  server_.registry()
      .counters({"upstream_failures_total", "Upstream answers that failed, by kind.", {"kind"}, 50})
      .with({label})
      .add();
}

void ProxyMetrics::on_cache_error(proxy::Stage stage, ErrorCode code) {
  server_.on_error(base::error_row(code).label);
  fail_open_.with({proxy::to_string(stage)}).add();
}

void ProxyMetrics::on_learn(std::string_view result) { learned_.with({result}).add(); }

}  // namespace enhanced_gptcache::app
