#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/report.h"

namespace enhanced_gptcache::eval {

using nlohmann::ordered_json;

namespace {

ordered_json counts_json(const Counts& counts) {
  return {{"pos", counts.positives},
          {"hit", counts.hits},
          {"neg", counts.negatives},
          {"false", counts.false_hits},
          {"precision", number(counts.precision())},
          {"recall", number(counts.recall())},
          {"f1", number(counts.f1())},
          {"false_hit_rate", number(counts.false_hit_rate())},
          {"false_hit_rate_95", to_json(wilson(counts.false_hits, counts.negatives))}};
}

ordered_json latency_json(const std::vector<double>& latency_ms) {
  return {{"count", latency_ms.size()},
          {"p50", number(percentile(latency_ms, 0.50))},
          {"p95", number(percentile(latency_ms, 0.95))},
          {"p99", number(percentile(latency_ms, 0.99))}};
}

ordered_json example_json(const Example& example) {
  ordered_json one;
  if (!example.kind.empty()) one["kind"] = example.kind;
  one["asked"] = example.asked;
  one["stored"] = example.stored;
  one["hit"] = example.answer.is_hit;
  if (!example.answer.is_hit) one["reason"] = example.answer.reason;
  one["similarity"] = number(example.answer.similarity);
  one["probability"] = number(example.answer.probability);
  one["threshold"] = number(example.explanation.decision.threshold);
  one["policy"] = example.explanation.policy;
  one["checks"] = ordered_json::object();
  for (const CandidateReport& candidate : example.explanation.candidates) {
    if (candidate.query != example.stored) continue;
    for (const auto& [name, verdict] : candidate.checks) one["checks"][name] = verdict;
    break;
  }
  return one;
}

ordered_json list_json(const std::vector<Example>& list) {
  ordered_json out = ordered_json::array();
  for (const Example& example : list) out.push_back(example_json(example));
  return out;
}

ordered_json reliability_pair(const Reliability& candidates, const Reliability& served) {
  return {{"candidates", to_json(candidates)}, {"served", to_json(served)}};
}

}  // namespace

ordered_json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::round(value * 1e6) / 1e6;
}

ordered_json number(const std::optional<double>& value) { return value ? number(*value) : ordered_json(); }

ordered_json to_json(const Interval& interval) {
  return ordered_json::array({number(interval.low), number(interval.high)});
}

ordered_json to_json(const Reliability& reliability) {
  ordered_json bins = ordered_json::array();
  for (size_t i = 0; i < reliability.bins.size(); ++i) {
    const Reliability::Bin& bin = reliability.bins[i];
    ordered_json one = {{"from", number(0.1 * static_cast<double>(i))}, {"count", bin.count}};
    if (bin.count > 0) {
      one["stated"] = number(bin.stated_sum / static_cast<double>(bin.count));
      one["observed"] = number(share(bin.right, bin.count));
      one["observed_95"] = to_json(wilson(bin.right, bin.count));
    }
    bins.push_back(std::move(one));
  }
  return {{"count", reliability.count},
          {"expected_calibration_error", number(reliability.expected_error())},
          {"bins", std::move(bins)}};
}

ordered_json to_json(const Examples& examples) {
  return {{"served_wrong", list_json(examples.served_wrong)},
          {"refused_wrong", list_json(examples.refused_wrong)},
          {"refused_right", list_json(examples.refused_right)}};
}

ordered_json to_json(const PairReport& report) {
  ordered_json kinds = ordered_json::object();
  for (const auto& [kind, counts] : report.kinds) kinds[kind] = counts_json(counts);
  ordered_json out = {{"pairs", report.total.positives + report.total.negatives},
                      {"auc", number(report.auc)},
                      {"recall_at_p90", number(report.recall_at_p90)},
                      {"clean_auc", number(report.clean_auc)},
                      {"clean_recall_at_p90", number(report.clean_recall_at_p90)},
                      {"clean_recall", number(report.clean.recall())},
                      {"clean_false", number(report.clean.false_hit_rate())},
                      {"recall", number(report.total.recall())},
                      {"false_hit_rate", number(report.total.false_hit_rate())},
                      {"precision", number(report.total.precision())},
                      {"f1", number(report.total.f1())},
                      {"total", counts_json(report.total)},
                      {"clean", counts_json(report.clean)},
                      {"kinds", std::move(kinds)},
                      {"miss_reasons", report.miss_reasons},
                      {"lost_reasons", report.lost_reasons},
                      {"reliability", reliability_pair(report.candidates, report.served)},
                      {"semantic_latency_ms", latency_json(report.latency_ms)}};
  if (report.examples.limit > 0) out["examples"] = to_json(report.examples);
  return out;
}

ordered_json to_json(const StreamReport& report) {
  const uint64_t judged = report.true_hits + report.false_hits;
  const uint64_t not_right = report.false_hits + report.unjudged;
  ordered_json out = {{"events", report.events},
                      {"left_out", report.left_out},
                      {"possible", report.possible},
                      {"true_hits", report.true_hits},
                      {"false_hits", report.false_hits},
                      {"unjudged", report.unjudged},
                      {"recall", number(report.recall())},
                      {"recall_95", to_json(wilson(report.true_hits, report.possible))},
                      {"wrong_per_100", number(report.wrong_per_100())},
                      {"false_among_hits", number(share(report.false_hits, judged))},
                      {"false_among_hits_95", to_json(wilson(report.false_hits, judged))},
                      {"false_among_hits_unjudged_counted", number(share(not_right, report.hits()))},
                      {"false_among_hits_unjudged_counted_95", to_json(wilson(not_right, report.hits()))},
                      {"hit_rate", number(share(report.hits(), report.events))},
                      {"exact_hits", report.exact_hits},
                      {"semantic_hits", report.hits() - report.exact_hits},
                      {"semantic_hit_rate", number(share(report.hits() - report.exact_hits, report.events))},
                      {"miss_reasons", report.miss_reasons},
                      {"lost_reasons", report.lost_reasons},
                      {"reliability", reliability_pair(report.candidates, report.served)},
                      {"semantic_latency_ms", latency_json(report.latency_ms)}};
  if (report.examples.limit > 0) out["examples"] = to_json(report.examples);
  return out;
}

}  // namespace enhanced_gptcache::eval
