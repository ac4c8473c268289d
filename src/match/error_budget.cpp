#include "match/error_budget.h"

#include <algorithm>
#include <cmath>

#include "match/decision.h"
#include "match/verifier.h"

namespace enhanced_gptcache::match {
namespace {

// Grid of s. A verifier that is wrong six nats about its odds is noise; the grid is wider than anything seen.
constexpr double kShiftMin = -4.0;
constexpr double kShiftStep = 0.25;
// Prior of s: normal, with a mean that makes E[e^s] one, so that stated probabilities are right on average.
// 0.7 means that a tenant whose error odds differ by a factor of two from those stated is nothing unusual.
constexpr double kPriorDeviation = 0.7;
constexpr double kPriorMean = -kPriorDeviation * kPriorDeviation / 2;
/// One minus the confidence of the sequence.
constexpr double kAlpha = 0.05;
/// The posterior's doubt that is left when it decides to tighten.
constexpr double kDoubt = 0.2;
/// Bins of the log odds observed.
constexpr double kLogitMin = -3.0;
constexpr double kLogitStep = 0.25;
/// One imagined decision at the threshold itself: with nothing observed the threshold must hold alone.
constexpr double kAtThreshold = 1.0;
/// Labels of which the likelihood remembers the newest: traffic changes.
constexpr double kWeightMax = 20'000;
/// Counts of decisions are halved at this one, for the same reason.
constexpr uint32_t kDecisionsMax = 1U << 24U;
constexpr double kLogitLimit = 30;

double shift_at(size_t i) { return kShiftMin + static_cast<double>(i) * kShiftStep; }
double log_prior(double s) {
  const double z = (s - kPriorMean) / kPriorDeviation;
  return -z * z / 2;
}
double log_sigmoid(double x) { return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }
double bin_logit(size_t bin) { return kLogitMin + (static_cast<double>(bin) + 0.5) * kLogitStep; }
double sane_logit(double logit) {
  return std::isnan(logit) ? -kLogitLimit : std::clamp(logit, -kLogitLimit, kLogitLimit);
}

/// The largest shift above which kDoubt of the weight lies.
template <typename Weight>
double exceeded_with_doubt(size_t shifts, Weight weight) {
  double total = 0;
  for (size_t i = 0; i < shifts; ++i) total += weight(i);
  double above = 0;
  for (size_t i = shifts; i-- > 0;) {
    above += weight(i);
    if (above > kDoubt * total) return shift_at(i);
  }
  return shift_at(0);
}

}  // namespace

ErrorBudget::ErrorBudget() = default;

void ErrorBudget::observe(double logit) {
  const double place = (sane_logit(logit) - kLogitMin) / kLogitStep;
  if (place < 0) return;  // never served, whatever is learned
  const size_t bin = std::min(kBins - 1, static_cast<size_t>(place));
  decisions_[bin].fetch_add(1, std::memory_order_relaxed);
}

double ErrorBudget::risk(double required, double s) const {
  double wrong = kAtThreshold * probability_of_logit(s - required);
  double served = kAtThreshold;
  for (size_t bin = 0; bin < kBins; ++bin) {
    if (bin_logit(bin) + kLogitStep / 2 <= required)
      continue;  // one that is cut counts as a whole: it is riskier
    const auto count = static_cast<double>(decisions_[bin].load(std::memory_order_relaxed));
    wrong += count * probability_of_logit(s - bin_logit(bin));
    served += count;
  }
  return wrong / served;
}

/// Unnormalised, at most 1.
double ErrorBudget::posterior(size_t i) const {
  double best = -INFINITY;
  for (size_t j = 0; j < kShifts; ++j) best = std::max(best, log_likelihood_[j] + log_prior(shift_at(j)));
  return std::exp(log_likelihood_[i] + log_prior(shift_at(i)) - best);
}

double ErrorBudget::mean_risk(double required) const {
  double sum = 0;
  double total = 0;
  for (size_t i = 0; i < kShifts; ++i) {
    const double p = posterior(i);
    if (p < 1e-6) continue;
    sum += p * risk(required, shift_at(i));
    total += p;
  }
  return sum / total;
}

/// The shift that is exceeded with probability kDoubt, by the posterior.
double ErrorBudget::cautious_shift() const {
  return exceeded_with_doubt(kShifts, [this](size_t i) { return posterior(i); });
}

double ErrorBudget::cautious_shift_before_labels() {
  return exceeded_with_doubt(kShifts, [](size_t i) { return std::exp(log_prior(shift_at(i))); });
}

/// Loosens only what the confidence sequence vouches for, tightens when the posterior calls it likely.
void ErrorBudget::find_shift(double target) {
  double evidence = 0;
  double prior = 0;
  double best = -INFINITY;
  for (const double l : log_likelihood_) best = std::max(best, l);
  for (size_t i = 0; i < kShifts; ++i) {
    evidence += std::exp(log_likelihood_[i] - best + log_prior(shift_at(i)));
    prior += std::exp(log_prior(shift_at(i)));
  }
  evidence /= prior;  // of the likelihood, under the prior
  double low = shift_at(kShifts - 1);
  double high = shift_at(0);
  for (size_t i = 0; i < kShifts; ++i) {
    if (std::exp(log_likelihood_[i] - best) < kAlpha * evidence) continue;
    low = std::min(low, shift_at(i));
    high = std::max(high, shift_at(i));
  }
  const double calibrated = logit_of(1 - target);
  // A bar above the mean that is aimed at is lenient enough already, and its operator accepts what the
  // verifier states there, with the doubt of a tenant without labels: labels tighten it by what they add to
  // that doubt.
  const bool is_lenient = target > kMeanErrorAtMost;
  const double loosen_max = is_lenient ? 0 : kLoosenMax;
  const double mean =
      is_lenient ? std::max(kMeanErrorAtMost, risk(calibrated, cautious_shift_before_labels())) : target;
  double shift = 0;
  const double cautious = cautious_shift();
  while (shift < kTightenMax && risk(calibrated + shift, cautious) > mean) shift += kLogitStep;
  if (shift == 0) {
    while (shift > -loosen_max && risk(calibrated + shift - kLogitStep, high) <= mean) shift -= kLogitStep;
  }
  estimate_ = mean_risk(calibrated + shift);
  low_ = risk(calibrated + shift, low);
  high_ = risk(calibrated + shift, high);
  shift_.store(shift, std::memory_order_relaxed);
}

void ErrorBudget::forget_some() {
  for (auto& bin : decisions_) {
    if (bin.load(std::memory_order_relaxed) < kDecisionsMax) continue;
    for (auto& each : decisions_)
      each.store(each.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
    break;
  }
  if (weight_ < kWeightMax) return;
  weight_ /= 2;
  for (double& l : log_likelihood_) l /= 2;
}

void ErrorBudget::label(double logit, bool correct, LabelSource source, double target) {
  const double stated = sane_logit(logit);
  const std::lock_guard lock(mutex_);
  ++(correct ? right_ : wrong_)[static_cast<size_t>(source)];
  for (size_t i = 0; i < kShifts; ++i) {
    const double odds = stated - shift_at(i);
    log_likelihood_[i] += log_sigmoid(correct ? odds : -odds);
  }
  weight_ += 1;
  forget_some();
  find_shift(target);
}

void ErrorBudget::refresh(double target) {
  const std::lock_guard lock(mutex_);
  if (weight_ > 0) find_shift(target);
}

BudgetView ErrorBudget::view() const {
  const std::lock_guard lock(mutex_);
  return {shift(), estimate_, low_, high_, right_, wrong_};
}

void ErrorBudget::save(StateWriter& writer) const {
  const std::lock_guard lock(mutex_);
  for (const double l : log_likelihood_) writer.put(l);
  for (const auto& bin : decisions_) writer.put(bin.load(std::memory_order_relaxed));
  for (size_t i = 0; i < kLabelSources; ++i) {
    writer.put(right_[i]);
    writer.put(wrong_[i]);
  }
  writer.put(weight_);
}

bool ErrorBudget::restore(StateReader& reader) {
  std::array<double, kShifts> log_likelihood{};
  std::array<uint32_t, kBins> decisions{};
  std::array<uint64_t, kLabelSources> right{}, wrong{};
  double weight = 0;
  bool read = true;
  for (double& l : log_likelihood) read = read && reader.get(l) && std::isfinite(l) && l <= 0;
  for (uint32_t& count : decisions) read = read && reader.get(count);
  for (size_t i = 0; i < kLabelSources; ++i) read = read && reader.get(right[i]) && reader.get(wrong[i]);
  read = read && reader.get(weight) && std::isfinite(weight) && weight >= 0;
  if (!read) return false;
  const std::lock_guard lock(mutex_);
  log_likelihood_ = log_likelihood;
  for (size_t i = 0; i < kBins; ++i) decisions_[i].store(decisions[i], std::memory_order_relaxed);
  right_ = right;
  wrong_ = wrong;
  weight_ = weight;
  return true;
}

double evidence_shift(double expected, double wrong, double prior) {
  const double ratio = (wrong + prior) / (std::max(0.0, expected) + prior);
  return std::clamp(std::log(ratio), 0.0, kTightenMax);
}

}  // namespace enhanced_gptcache::match
