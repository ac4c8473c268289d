#pragma once
// The decision rule of vCache ("vCache: Verified Semantic Prompt Caching", Schroeder et al., arXiv
// 2502.03771), from the paper, as a baseline to measure against. Nothing of the product uses it.
//
// Each stored answer keeps the similarities at which it was the nearest neighbour, each with whether it would
// have been right. From them P(right | similarity s) = 1 / (1 + e^(-gamma (s - t))) is fitted. The answer is
// served ("exploit") with probability 1 - tau, where
//     tau = min over epsilon of  1 - delta / (1 - (1 - epsilon) P(right | s; t', gamma)),
// t' the upper end of t at confidence 1 - epsilon; else the model is asked ("explore"), which labels the
// pair. With fewer than six observations it explores. As in the authors' implementation, two of the
// observations are there from the start: wrong at similarity 0, right at 1, and the variance of t is by the
// delta method. Where the observations are separable the likelihood has no maximum: a weak normal prior on
// the coefficients bounds it (the authors use a table of simulated variances instead).

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace enhanced_gptcache::bench {

/// What one stored answer has seen. Thread rule: plain values.
class VCacheEntry {
 public:
  static constexpr size_t kObservationsMin = 6;

  void observe(double similarity, bool right) {
    observations_.emplace_back(similarity, right);
    is_fitted_ = false;
  }

  /// The probability of exploring; 1 while there are too few observations.
  double tau(double similarity, double delta) {
    if (observations_.size() < kObservationsMin) return 1;
    if (!is_fitted_) fit();
    double least = 1;
    constexpr int kSteps = 50;
    for (int i = 0; i < kSteps; ++i) {
      const double epsilon = 1e-6 + (1 - 2e-6) * i / (kSteps - 1);
      const double t = std::clamp(t_ + quantile(1 - epsilon) * std::sqrt(variance_), 0.0, 1.0);
      const double right = (1 - epsilon) / (1 + std::exp(-gamma_ * (similarity - t)));
      least = std::min(least, 1 - delta / (1 - right));
    }
    return least;
  }

 private:
  /// Logistic regression by Newton's method.
  void fit() {
    constexpr double kPrecision = 1e-4;  // of the prior
    double a = 0;
    double b = 0;
    std::array<double, 3> h{};  // Hessian: aa, ab, bb
    for (int round = 0; round < 100; ++round) {
      double ga = -kPrecision * a;
      double gb = -kPrecision * b;
      h = {kPrecision, 0, kPrecision};
      for (const auto& [s, right] : observations_) {
        const double p = 1 / (1 + std::exp(-(a + b * s)));
        const double w = p * (1 - p);
        ga += (right ? 1 : 0) - p;
        gb += ((right ? 1 : 0) - p) * s;
        h[0] += w;
        h[1] += w * s;
        h[2] += w * s * s;
      }
      const double determinant = h[0] * h[2] - h[1] * h[1];
      const double da = std::clamp((h[2] * ga - h[1] * gb) / determinant, -50.0, 50.0);
      const double db = std::clamp((h[0] * gb - h[1] * ga) / determinant, -50.0, 50.0);
      a += da;
      b += db;
      if (std::abs(da) + std::abs(db) < 1e-9) break;
    }
    gamma_ = std::max(b, 1e-6);
    t_ = std::clamp(-a / gamma_, 0.0, 1.0);
    const double determinant = h[0] * h[2] - h[1] * h[1];
    const double da = -1 / gamma_;  // gradient of t = -a / b
    const double db = a / (gamma_ * gamma_);
    variance_ = std::max(0.0, (da * da * h[2] - 2 * da * db * h[1] + db * db * h[0]) / determinant);
    is_fitted_ = true;
  }

  /// Of the standard normal, by bisection of erfc.
  static double quantile(double p) {
    double low = -9;
    double high = 9;
    for (int i = 0; i < 60; ++i) {
      const double middle = (low + high) / 2;
      (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
    }
    return (low + high) / 2;
  }

  std::vector<std::pair<double, bool>> observations_{{0.0, false}, {1.0, true}};
  bool is_fitted_ = false;
  double t_ = 0;
  double gamma_ = 1;
  double variance_ = 0;
};

}  // namespace enhanced_gptcache::bench
