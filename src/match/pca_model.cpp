#include "match/pca_model.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace enhanced_gptcache::match {

void Moments::start(size_t dimensions) {
  const auto n = static_cast<Eigen::Index>(dimensions);
  count = 0;
  mean = Eigen::VectorXd::Zero(n);
  scatter = Eigen::MatrixXd::Zero(n, n);
}

void Moments::add(std::span<const float> sample) {
  EGPTC_CHECK(sample.size() == dimensions());
  const Eigen::Map<const Eigen::VectorXf> x(sample.data(), static_cast<Eigen::Index>(sample.size()));
  ++count;
  const auto n = static_cast<double>(count);
  const Eigen::VectorXd delta = x.cast<double>() - mean;
  mean += delta / n;
  // delta_old * delta_new^T = (n - 1) / n * delta * delta^T: symmetric, so half of it is enough.
  scatter.selfadjointView<Eigen::Lower>().rankUpdate(delta, (n - 1) / n);
}

void Moments::add_rows(const Eigen::Ref<const RowMatrix>& rows) {
  EGPTC_CHECK(static_cast<size_t>(rows.cols()) == dimensions());
  if (rows.rows() == 0) return;
  const Eigen::MatrixXd values = rows.cast<double>();
  const auto added = static_cast<double>(rows.rows());
  const auto before = static_cast<double>(count);
  const Eigen::VectorXd added_mean = values.colwise().mean();
  const Eigen::MatrixXd centred = values.rowwise() - added_mean.transpose();
  scatter.selfadjointView<Eigen::Lower>().rankUpdate(centred.transpose());
  const Eigen::VectorXd delta = added_mean - mean;
  scatter.selfadjointView<Eigen::Lower>().rankUpdate(delta, before * added / (before + added));
  mean += delta * (added / (before + added));
  count += static_cast<uint64_t>(rows.rows());
}

void PcaModel::transform(std::span<const float> sample, std::span<float> out) const {
  EGPTC_CHECK(sample.size() == static_cast<size_t>(components.cols()) &&
              out.size() == static_cast<size_t>(components.rows()));
  const Eigen::Map<const Eigen::VectorXf> x(sample.data(), components.cols());
  Eigen::Map<Eigen::VectorXf>(out.data(), components.rows()).noalias() = components * (x - mean);
}

std::unique_ptr<PcaModel> fit_pca(const Moments& moments, size_t target) {
  EGPTC_CHECK(moments.count >= 2);
  const Eigen::MatrixXd covariance = moments.scatter / static_cast<double>(moments.count - 1);
  // Reads the lower triangle; eigenvalues come in rising order.
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  const Eigen::VectorXd& values = solver.eigenvalues();
  const Eigen::Index dimensions = values.size();
  const double total = values.cwiseMax(0).sum();
  const double largest = std::max(0.0, values(dimensions - 1));
  const double negligible = largest * static_cast<double>(dimensions) * 1e-12;

  auto model = std::make_unique<PcaModel>();
  model->samples = moments.count;
  model->mean = moments.mean.cast<float>();
  model->components = RowMatrix::Zero(static_cast<Eigen::Index>(target), dimensions);
  const size_t rank_max = std::min({target, moments.count - 1, static_cast<size_t>(dimensions)});
  double kept = 0;
  while (model->effective < rank_max) {
    const auto row = static_cast<Eigen::Index>(model->effective);
    const Eigen::Index from = dimensions - 1 - row;
    if (values(from) <= negligible) break;
    Eigen::VectorXd component = solver.eigenvectors().col(from);
    Eigen::Index peak = 0;
    component.cwiseAbs().maxCoeff(&peak);
    if (component(peak) < 0) component = -component;
    model->components.row(row) = component.cast<float>();
    kept += values(from);
    ++model->effective;
  }
  model->explained_variance = total > 0 ? std::clamp(kept / total, 0.0, 1.0) : 0;
  return model;
}

}  // namespace enhanced_gptcache::match
