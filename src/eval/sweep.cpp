#include "eval/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "eval/report.h"

namespace enhanced_gptcache::eval {
namespace {

template <typename Run>
Result<Curve> sweep(const Options& options, const std::shared_ptr<const Embedder>& embedder, Run run) {
  Curve curve;
  curve.knob = knob_of(options);
  for (const double value : values_of(curve.knob)) {
    EGPTC_TRY(const auto cache, EnhancedCache::open(turned(options, curve.knob, value), embedder));
    EGPTC_TRY(CurvePoint point, run(*cache));
    point.value = value;
    curve.points.push_back(point);
  }
  return curve;
}

}  // namespace

Knob knob_of(const Options& options) {
  if (options.decision == DecisionPolicy::kStatic) return Knob::kSimilarityThreshold;
  if (options.decision == DecisionPolicy::kAdaptive) return Knob::kTau;
  return Knob::kTargetErrorRate;
}

std::string_view setting_of(Knob knob) {
  switch (knob) {
    case Knob::kSimilarityThreshold:
      return "cache.similarity_threshold";
    case Knob::kTau:
      return "federated.initial_tau";
    case Knob::kTargetErrorRate:
      return "cache.target_error_rate";
  }
  return "";
}

std::vector<double> values_of(Knob knob) {
  if (knob == Knob::kTargetErrorRate)
    return {0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.005, 0.002};
  return {0.60, 0.65, 0.70, 0.74, 0.78, 0.80, 0.82, 0.84, 0.85, 0.86, 0.87, 0.88,
          0.89, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99};
}

Options turned(Options options, Knob knob, double value) {
  if (knob == Knob::kTargetErrorRate) {
    options.tau.target_error_rate = value;
    return options;
  }
  // Without learning, tau stays at the floor, so the floor is what decides.
  const bool is_floor = knob == Knob::kSimilarityThreshold || !options.tau.enabled;
  options.similarity_threshold = is_floor ? value : std::min(options.similarity_threshold, value);
  options.tau.initial_tau = value;
  options.tau.tau_max = std::max(options.tau.tau_max, value);
  return options;
}

CurvePoint& CurvePoint::operator+=(const CurvePoint& other) {
  asked += other.asked;
  possible += other.possible;
  right += other.right;
  wrong += other.wrong;
  unjudged += other.unjudged;
  labels += other.labels;
  return *this;
}

CurvePoint point_of(const PairReport& report) {
  const Counts& total = report.total;
  return {0, total.positives + total.negatives, total.positives, total.hits, total.false_hits,
          0, total.positives + total.negatives};
}

CurvePoint point_of(const StreamReport& report) {
  return {0,
          report.events,
          report.possible,
          report.true_hits,
          report.false_hits,
          report.unjudged,
          report.candidates.count};
}

Result<Curve> sweep_pairs(const Options& options, const std::shared_ptr<const Embedder>& embedder,
                          const std::vector<PairRow>& rows, const PairOptions& how) {
  return sweep(options, embedder, [&](EnhancedCache& cache) -> Result<CurvePoint> {
    EGPTC_TRY(const auto answers, ask_pairs(cache, rows, how));
    return point_of(judge_pairs(rows, answers));
  });
}

Result<Curve> sweep_stream(const Options& options, const std::shared_ptr<const Embedder>& embedder,
                           const std::vector<StreamRow>& rows, const std::vector<size_t>& order) {
  return sweep(options, embedder, [&](EnhancedCache& cache) -> Result<CurvePoint> {
    EGPTC_TRY(const StreamReport report, run_stream(cache, rows, order, 0));
    return point_of(report);
  });
}

nlohmann::ordered_json to_json(const Curve& curve) {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const CurvePoint& point : curve.points) {
    points.push_back({{"value", number(point.value)},
                      {"possible", point.possible},
                      {"right", point.right},
                      {"wrong", point.wrong},
                      {"unjudged", point.unjudged},
                      {"recall", number(point.recall())},
                      {"wrong_among_hits", number(point.wrong_share())},
                      {"wrong_among_hits_95", to_json(point.wrong_interval())},
                      {"wrong_per_100", number(100 * share(point.wrong, point.asked))}});
  }
  return {{"setting", setting_of(curve.knob)}, {"points", std::move(points)}};
}

std::string to_text(const Curve& curve) {
  std::string out = fmt::format("{:<28} {:>8} {:>7} {:>7} {:>9} {:>16} {:>9} {:>9}\n", setting_of(curve.knob),
                                "recall", "right", "wrong", "of hits", "95 %", "per 100", "unjudged");
  for (const CurvePoint& point : curve.points) {
    const Interval interval = point.wrong_interval();
    fmt::format_to(std::back_inserter(out),
                   "{:<28} {:>6.1f} % {:>7} {:>7} {:>7.2f} % {:>16} {:>9.3f} {:>9}\n", point.value,
                   100 * point.recall(), point.right, point.wrong, 100 * point.wrong_share(),
                   fmt::format("{:.2f}..{:.2f} %", 100 * interval.low, 100 * interval.high),
                   100 * share(point.wrong, point.asked), point.unjudged);
  }
  return out;
}

}  // namespace enhanced_gptcache::eval
