#include "eval/tune.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace enhanced_gptcache::eval {
namespace {

/// The floor keeps this share of what any threshold finds: below it lies next to nothing worth examining.
constexpr double kKeptByFloor = 0.98;

bool would_serve(const ShadowRow& decision, Knob knob, double value) {
  if (knob != Knob::kTargetErrorRate) return decision.similarity >= value;
  return decision.probability && *decision.probability >= 1 - value;
}

/// The largest value up to `tau` that loses next to nothing.
double floor_of(const Curve& curve, double tau) {
  uint64_t most = 0;
  for (const CurvePoint& point : curve.points) most = std::max(most, point.right);
  double floor = std::min(curve.points.front().value, tau);
  for (const CurvePoint& point : curve.points) {
    const bool keeps = static_cast<double>(point.right) >= kKeptByFloor * static_cast<double>(most);
    if (point.value <= tau && keeps) floor = std::max(floor, point.value);
  }
  return floor;
}

Proposal proposal_at(const Curve& curve, const Options& options, const CurvePoint& point,
                     double target_error) {
  Proposal proposal;
  proposal.point = point;
  proposal.similarity_threshold = options.similarity_threshold;
  proposal.initial_tau = options.tau.initial_tau;
  proposal.target_error_rate = target_error;
  if (curve.knob == Knob::kTargetErrorRate) {
    proposal.target_error_rate = point.value;
  } else {
    proposal.initial_tau = point.value;
    proposal.similarity_threshold = curve.knob == Knob::kTau ? floor_of(curve, point.value) : point.value;
  }
  return proposal;
}

}  // namespace

Curve curve_of(const std::vector<ShadowRow>& decisions, Knob knob) {
  Curve curve;
  curve.knob = knob;
  for (const double value : values_of(knob)) {
    CurvePoint point;
    point.value = value;
    for (const ShadowRow& decision : decisions) {
      const bool served = would_serve(decision, knob, value);
      ++point.asked;
      ++point.labels;
      point.possible += decision.correct ? 1 : 0;
      point.right += served && decision.correct ? 1 : 0;
      point.wrong += served && !decision.correct ? 1 : 0;
    }
    curve.points.push_back(point);
  }
  return curve;
}

void merge(Curve& curve, const Curve& more) {
  if (curve.points.empty()) {
    curve = more;
    return;
  }
  EGPTC_CHECK(curve.knob == more.knob && curve.points.size() == more.points.size());
  for (size_t i = 0; i < curve.points.size(); ++i) curve.points[i] += more.points[i];
}

Result<Proposal> propose(const Curve& curve, const Options& options, double target_error) {
  for (const CurvePoint& point : curve.points) {
    if (point.right + point.wrong == 0 || point.wrong_interval().high > target_error) continue;
    Proposal proposal = proposal_at(curve, options, point, target_error);
    proposal.is_proven = true;
    return proposal;
  }
  for (const CurvePoint& point : curve.points) {
    if (point.right == 0 || point.wrong_share() > target_error) continue;
    return proposal_at(curve, options, point, target_error);
  }
  const auto best = std::min_element(
      curve.points.begin(), curve.points.end(),
      [](const CurvePoint& a, const CurvePoint& b) { return a.wrong_share() < b.wrong_share(); });
  return fail(ErrorCode::kNotFound,
              fmt::format("no {} keeps wrong hits within {:g} of the hits; the best of the table is {:.4f}",
                          setting_of(curve.knob), target_error,
                          best == curve.points.end() ? 1.0 : best->wrong_share()));
}

std::string to_yaml(const Proposal& proposal, std::string_view decision, uint64_t labels) {
  const Interval wrong = proposal.point.wrong_interval();
  return fmt::format(
      "# Proposed by enhanced-gptcache tune from {} labels: {} of {} possible hits served,\n"
      "# {} of {} hits wrong ({:.2f} %, 95 % interval {:.2f} to {:.2f} %).\n"
      "cache:\n  decision: {}\n  similarity_threshold: {:g}\n  target_error_rate: {:g}\n"
      "context: {{}}\npca: {{}}\nfederated:\n  initial_tau: {:g}\n",
      labels, proposal.point.right, proposal.point.possible, proposal.point.wrong,
      proposal.point.right + proposal.point.wrong, 100 * proposal.point.wrong_share(), 100 * wrong.low,
      100 * wrong.high, decision, proposal.similarity_threshold, proposal.target_error_rate,
      proposal.initial_tau);
}

}  // namespace enhanced_gptcache::eval
