#pragma once
// The error budget of one tenant: from labels of its hits to how much stricter, or looser, the verified
// policy is for it. The verifier states log odds l; on this tenant's traffic the truth is taken to be l - s
// with one unknown s (a logistic recalibration of intercept; Cox 1958). A posterior of s over a grid is kept,
// with a prior under which the stated probabilities are right on average. What may really be is read from a
// confidence sequence that holds at every moment at once, however often it is looked at (the
// prior-posterior-ratio martingale: Waudby-Smith and Ramdas, "Confidence sequences for sampling without
// replacement", 2020, by Ville's inequality).

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "enhanced_gptcache/enhanced_cache.h"
#include "match/state_bytes.h"

namespace enhanced_gptcache::match {

/// Bounds of what evidence may do to the required log odds.
inline constexpr double kLoosenMax = 1.0;   ///< below the calibrated threshold
inline constexpr double kTightenMax = 4.0;  ///< above it

struct BudgetView {
  double shift = 0;           ///< added to the required log odds; above 0 is stricter
  double error_estimate = 0;  ///< posterior mean of the share of wrong ones among what would be served
  double error_low = 0, error_high = 1;  ///< the same, at every moment with 95 % confidence
  std::array<uint64_t, kLabelSources> right{}, wrong{};
  uint64_t labels() const { return right[0] + right[1] + right[2] + wrong[0] + wrong[1] + wrong[2]; }
};

/// Thread rule: shift() and observe() from any thread without waiting; the rest from any thread.
class ErrorBudget {
 public:
  ErrorBudget();

  double shift() const { return shift_.load(std::memory_order_relaxed); }
  /// A candidate with these log odds that passed context and guards, whatever was decided. What lies near
  /// the threshold is known from these.
  void observe(double logit);
  /// A hit with these stated log odds was judged. `target` is the share of hits that may be wrong.
  void label(double logit, bool correct, LabelSource source, double target);
  /// Finds the threshold anew: after a change of `target`, or when much was observed.
  void refresh(double target);
  BudgetView view() const;

  void save(StateWriter& writer) const;
  /// False: the bytes are no budget; it stays as it was.
  bool restore(StateReader& reader);

 private:
  static constexpr size_t kShifts = 41;
  static constexpr size_t kBins = 48;

  /// Share of wrong ones among what would be served from `required` on, when the shift is `s`.
  double risk(double required, double s) const;
  double mean_risk(double required) const;
  double posterior(size_t i) const;
  double cautious_shift() const;
  static double cautious_shift_before_labels();
  void find_shift(double target);
  void forget_some();

  std::atomic<double> shift_{0};
  std::array<std::atomic<uint32_t>, kBins> decisions_{};  ///< by stated log odds
  mutable std::mutex mutex_;
  std::array<double, kShifts> log_likelihood_{};           // guarded by mutex_
  std::array<uint64_t, kLabelSources> right_{}, wrong_{};  // guarded by mutex_
  double weight_ = 0;          // guarded by mutex_; labels the likelihood still remembers
  double estimate_ = 0;        // guarded by mutex_
  double low_ = 0, high_ = 1;  // guarded by mutex_
};

/// How much more of a place (an entry, a partition) is wrong than was expected there, as log odds to add to
/// what is required; never below 0. `expected` errors were expected and `wrong` seen; shrunk towards no
/// difference with the weight of `prior` errors (gamma-Poisson shrinkage: DuMouchel, "Bayesian data mining in
/// large frequency tables", 1999).
double evidence_shift(double expected, double wrong, double prior);

}  // namespace enhanced_gptcache::match
