#include "app/decision_metrics.h"

#include <nlohmann/json.hpp>

#include "base/wilson.h"
#include "match/guards.h"

namespace enhanced_gptcache::app {
namespace {

using metrics::FamilyOptions;
using metrics::Kind;
using metrics::Sample;
using nlohmann::ordered_json;

constexpr const char* kShadowResults[] = {"agreed", "disagreed", "undecided", "failed", "dropped"};

std::vector<double> similarity_bounds() {
  return {0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 0.99, 1.0};
}
std::vector<double> probability_bounds() {
  return {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0};
}

FamilyOptions family(std::string name, std::string help, std::vector<std::string> labels = {}) {
  return {std::move(name), std::move(help), std::move(labels), 50};
}

double as_double(uint64_t value) { return static_cast<double>(value); }

/// Right and wrong labels by one source.
struct Labels {
  std::string source;
  uint64_t right = 0, wrong = 0;
  uint64_t count() const { return right + wrong; }
  double wrong_share() const { return as_double(wrong) / as_double(std::max<uint64_t>(1, count())); }
};
std::vector<Labels> labels_of(const CacheStats& stats) {
  std::vector<Labels> labels;
  for (size_t i = 0; i < kLabelSources; ++i)
    labels.push_back(
        {std::string(to_string(static_cast<LabelSource>(i))), stats.labels_right[i], stats.labels_wrong[i]});
  return labels;
}

/// The share of wrong hits, withheld ones included, as the verifier itself states it; unknown without hits.
std::optional<double> model_estimate(const CacheStats& stats) {
  const uint64_t hits =
      stats.semantic_hits + stats.misses_by_reason[static_cast<size_t>(MissReason::kShadow)];
  if (hits == 0) return std::nullopt;
  return stats.model_errors / as_double(hits);
}

std::vector<Sample> false_hit_rates(const CacheStats& stats) {
  std::vector<Sample> samples;
  for (const Labels& labels : labels_of(stats)) {
    if (labels.count() == 0) continue;
    const base::Interval interval = base::wilson(labels.wrong, labels.count());
    samples.push_back({{labels.source, "estimate"}, labels.wrong_share()});
    samples.push_back({{labels.source, "low"}, interval.low});
    samples.push_back({{labels.source, "high"}, interval.high});
  }
  if (const auto estimate = model_estimate(stats)) samples.push_back({{"model", "estimate"}, *estimate});
  return samples;
}

}  // namespace

DecisionMetrics::DecisionMetrics(metrics::Registry& registry)
    : registry_(registry),
      similarity_(registry.histograms(
          family("cache_similarity", "Similarity of the best candidate of semantic decisions.", {"outcome"}),
          similarity_bounds())),
      probability_(registry.histograms(
          family("cache_probability", "Stated probability that the best candidate's answer is right.",
                 {"outcome"}),
          probability_bounds())),
      vetoes_(registry.counters(
          family("cache_guard_vetoes_total", "Semantic misses by the guard that refused.", {"guard"}))),
      shadow_checks_(registry.counters(family("cache_shadow_checks_total",
                                              "Semantic hits also held against a fresh answer, by result.",
                                              {"result"}))),
      judged_(registry.counters(family("cache_judge_verdicts_total",
                                       "Verdicts of the judge model on undecided checks.", {"verdict"}))),
      pair_encoder_(registry.histogram("pair_encoder_time",
                                       "Time of the pair encoder in one lookup, in milliseconds.",
                                       metrics::latency_bounds_ms())) {
  for (const match::Guard& guard : match::guards()) vetoes_.with({guard.name}).add(0);
  for (const char* result : kShadowResults) shadow_checks_.with({result}).add(0);
  for (const char* verdict : {"yes", "no", "unreadable"}) judged_.with({verdict}).add(0);
}

void DecisionMetrics::on_decision(const Lookup& lookup) {
  const bool hit = lookup.entry != nullptr;
  if (lookup.pair_encoder_ms > 0) pair_encoder_.record(lookup.pair_encoder_ms);
  if (hit && lookup.layer == Layer::kSemantic) {
    similarity_.with({"hit"}).record(lookup.similarity);
    probability_.with({"hit"}).record(lookup.probability);
  }
  if (hit || !lookup.nearest) return;
  similarity_.with({"miss"}).record(lookup.nearest->similarity);
  probability_.with({"miss"}).record(lookup.nearest->probability);
  if (lookup.reason == MissReason::kGuard) vetoes_.with({lookup.detail}).add();
}

void DecisionMetrics::watch(const EnhancedCache& cache) {
  registry_.collector(
      family("cache_decisions_total", "Semantic decisions: hit, or the reason of the miss.", {"reason"}),
      Kind::kCounter, [&cache] {
        const CacheStats stats = cache.stats();
        std::vector<Sample> samples{{{"hit"}, as_double(stats.semantic_hits)}};
        for (size_t i = 0; i < std::size(stats.misses_by_reason); ++i) {
          samples.push_back(
              {{std::string(to_string(static_cast<MissReason>(i)))}, as_double(stats.misses_by_reason[i])});
        }
        return samples;
      });
  const auto one = [this, &cache](const char* name, const char* help, auto field) {
    registry_.collector(family(name, help), Kind::kCounter, [&cache, field] {
      return std::vector<Sample>{{{}, as_double(cache.stats().*field)}};
    });
  };
  one("cache_verified_decisions_total", "Lookups with a candidate under decision verified.",
      &CacheStats::verified_decisions);
  one("cache_verifier_unavailable_total",
      "Lookups answered by exact match only, because the verifier's artifact cannot be used.",
      &CacheStats::verifier_unavailable);
  one("cache_grey_zone_decisions_total", "Those of them in which the pair encoder was asked.",
      &CacheStats::pair_encoder_decisions);
  watch_labels(cache);
  watch_thresholds(cache);
}

void DecisionMetrics::watch_labels(const EnhancedCache& cache) {
  registry_.collector(
      family("cache_labels_total", "Semantic hits that were judged, by who and how.", {"source", "verdict"}),
      Kind::kCounter, [&cache] {
        std::vector<Sample> samples;
        for (const Labels& labels : labels_of(cache.stats())) {
          samples.push_back({{labels.source, "right"}, as_double(labels.right)});
          samples.push_back({{labels.source, "wrong"}, as_double(labels.wrong)});
        }
        return samples;
      });
  registry_.collector(family("cache_false_hit_rate",
                             "Share of semantic hits that were wrong, with its 95 % interval: observed by "
                             "labels of each source, or "
                             "the model's own estimate.",
                             {"source", "bound"}),
                      Kind::kGauge, [&cache] { return false_hit_rates(cache.stats()); });
}

void DecisionMetrics::watch_thresholds(const EnhancedCache& cache) {
  registry_.collector(
      family("tau_global", "Similarity threshold new users start from, the mean over tenants."), Kind::kGauge,
      [&cache] {
        return std::vector<Sample>{{{}, cache.stats().global_tau}};
      });
  registry_.collector(
      family("tau_users", "Users with a tau of their own, by where it stands against initial_tau.",
             {"class"}),
      Kind::kGauge, [&cache] {
        const TauSummary tau = cache.stats().tau;
        return std::vector<Sample>{{{"below"}, as_double(tau.below)},
                                   {{"initial"}, as_double(tau.initial)},
                                   {{"above"}, as_double(tau.above)}};
      });
  registry_.collector(family("tau_mean", "Mean tau of the users of a class that has any.", {"class"}),
                      Kind::kGauge, [&cache] {
                        const TauSummary tau = cache.stats().tau;
                        std::vector<Sample> samples;
                        if (tau.below > 0) samples.push_back({{"below"}, tau.mean_below});
                        if (tau.above > 0) samples.push_back({{"above"}, tau.mean_above});
                        return samples;
                      });
  registry_.collector(
      family("error_budget_tenants", "Tenants with labels, by what these did to the threshold.", {"state"}),
      Kind::kGauge, [&cache] {
        const BudgetSummary budgets = cache.stats().budgets;
        return std::vector<Sample>{{{"calibrated"}, as_double(budgets.calibrated)},
                                   {{"tightened"}, as_double(budgets.tightened)},
                                   {{"loosened"}, as_double(budgets.loosened)}};
      });
  registry_.collector(
      family("error_budget_shift", "Loosest and strictest shift of a tenant's required log odds.", {"bound"}),
      Kind::kGauge, [&cache] {
        const BudgetSummary budgets = cache.stats().budgets;
        return std::vector<Sample>{{{"min"}, budgets.shift_min}, {{"max"}, budgets.shift_max}};
      });
}

ordered_json DecisionMetrics::vetoes() const {
  ordered_json out = ordered_json::object();
  for (const match::Guard& guard : match::guards())
    out[std::string(guard.name)] = vetoes_.with({guard.name}).value();
  return out;
}

ordered_json DecisionMetrics::candidates() const {
  const auto both = [](metrics::Family<metrics::Histogram>& family) {
    const metrics::Histogram& hits = family.with({"hit"});
    return ordered_json{{"bounds", hits.bounds()},
                        {"hit", hits.view().buckets},
                        {"miss", family.with({"miss"}).view().buckets}};
  };
  return {{"similarity", both(similarity_)}, {"probability", both(probability_)}};
}

ordered_json DecisionMetrics::shadow_report(const EnhancedCache& cache) const {
  const CacheStats stats = cache.stats();
  const Options options = cache.options();
  const uint64_t withheld = stats.misses_by_reason[static_cast<size_t>(MissReason::kShadow)];
  const uint64_t decisions = stats.semantic_hits + stats.semantic_misses;
  ordered_json checks;
  for (const char* result : kShadowResults) checks[result] = shadow_checks_.with({result}).value();
  ordered_json labels = ordered_json::object();
  for (const Labels& one : labels_of(stats)) {
    if (one.count() == 0) continue;
    const base::Interval interval = base::wilson(one.wrong, one.count());
    labels[one.source] = {{"right", one.right},
                          {"wrong", one.wrong},
                          {"wrong_share", one.wrong_share()},
                          {"wrong_share_95", {interval.low, interval.high}}};
  }
  const auto estimate = model_estimate(stats);
  const uint64_t whole = std::max<uint64_t>(1, decisions);
  return {{"mode", options.mode == CacheMode::kShadow ? "shadow" : "serve"},
          {"serve_percent", options.serve_percent},
          {"decision", to_string(stats.decision)},
          {"semantic_decisions", decisions},
          {"served", stats.semantic_hits},
          {"withheld", withheld},
          {"would_be_hit_rate", as_double(stats.semantic_hits + withheld) / as_double(whole)},
          {"checks", checks},
          {"labels", labels},
          {"model_error_estimate", estimate ? ordered_json(*estimate) : ordered_json()},
          {"target_error_rate", options.tau.target_error_rate},
          {"tenants",
           {{"calibrated", stats.budgets.calibrated},
            {"tightened", stats.budgets.tightened},
            {"loosened", stats.budgets.loosened}}}};
}

}  // namespace enhanced_gptcache::app
