#pragma once
// One round of federated aggregation of thresholds: which users take part and what their taus say
// together. Pure functions, so that attacks on it are simulated in the tests.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::match {

/// What a user contributes: a threshold and how many labels it rests on. Nothing else leaves the user's
/// scope.
struct TauReport {
  double tau = 0;
  uint64_t samples = 0;
};

/// Share of the reports dropped at each end. A minority below it cannot drag the mean by extreme taus.
inline constexpr double kTauTrimShare = 0.3;
/// A report weighs as its samples, but at most so many times the median one: activity alone buys no majority.
inline constexpr uint64_t kTauWeightCap = 2;

/// Trimmed, sample-weighted mean (coordinate-wise trimmed mean: Yin et al., arXiv 1803.01498).
/// `reports` is not empty.
double combine_taus(std::vector<TauReport> reports);

/// The next global tau: towards `combined`, by at most `step_max`.
double step_towards(double global, double combined, double step_max);

/// Order in which users are drawn in a round: a fixed pseudo-random rank, so that who updates more
/// often is not drawn more often.
uint64_t draw_rank(std::string_view user, uint64_t round);

}  // namespace enhanced_gptcache::match
