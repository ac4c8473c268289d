#pragma once
// The arithmetic of PCAWrapper, without threads or files: exact running moments, and a fitted
// projection made from them.

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace enhanced_gptcache::match {

/// Most dimensions of a sample: bounds memory (a covariance of 2048 is 32 MB) and the time of a fit.
inline constexpr size_t kPcaDimensionsMax = 2048;

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Count, mean and the sum of squared deviations of all samples so far, exactly (Welford, 1962; merged
/// per Chan, Golub and LeVeque, 1983). One owner.
struct Moments {
  uint64_t count = 0;
  Eigen::VectorXd mean;
  Eigen::MatrixXd scatter;  ///< lower triangle only

  size_t dimensions() const { return static_cast<size_t>(mean.size()); }
  void start(size_t dimensions);
  void add(std::span<const float> sample);
  /// Adds many at once; the same result up to rounding.
  void add_rows(const Eigen::Ref<const RowMatrix>& rows);
};

/// A projection. Immutable once made.
struct PcaModel {
  uint64_t version = 0;
  uint64_t samples = 0;           ///< it was fitted on
  size_t effective = 0;           ///< components that carry variance; the rest are zero
  double explained_variance = 0;  ///< 0..1
  Eigen::VectorXf mean;
  RowMatrix components;  ///< target rows, dimension columns, orthonormal or zero

  void transform(std::span<const float> sample, std::span<float> out) const;
};

/// The `target` leading components of what `moments` saw. Components beyond min(count - 1, dimensions),
/// or without variance, are zero. Each component's largest coordinate is positive (the first of equals),
/// so that a fit is reproducible. Needs two samples.
std::unique_ptr<PcaModel> fit_pca(const Moments& moments, size_t target);

}  // namespace enhanced_gptcache::match
