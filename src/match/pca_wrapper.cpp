#include "enhanced_gptcache/pca_wrapper.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <mutex>

#include "base/epoch.h"
#include "base/log.h"
#include "match/pca_file.h"
#include "match/pca_model.h"
#include "vault/vault.h"

namespace enhanced_gptcache {
namespace {

/// Far above the largest file there can be (2048 dimensions, all kept: 34 MB).
constexpr size_t kFileBytesMax = size_t{128} << 20U;

bool is_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

size_t bytes_of(const match::PcaModel& model) {
  return sizeof(model) + static_cast<size_t>(model.components.size() + model.mean.size()) * sizeof(float);
}

/// What a sealed file is bound to: it may move with its folder.
std::string name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

}  // namespace

class PCAWrapper::Impl {
 public:
  explicit Impl(const PcaOptions& options)
      : target_(std::max<size_t>(1, options.target_dimensions)), vault_(options.vault) {}
  ~Impl() { delete model_.load(std::memory_order_acquire); }

  Result<void> add(std::span<const float> sample);
  Result<void> add_rows(const Matrix& samples);
  Result<void> fit();
  Result<std::vector<float>> transform(std::span<const float> sample) const;
  Result<Matrix> transform_rows(const Matrix& samples) const;
  Result<void> save(const std::string& path) const;
  Result<void> load(const std::string& path);

  void set_origin(std::string origin) {
    const std::lock_guard lock(moments_mutex_);
    origin_ = std::move(origin);
  }
  std::string origin() const {
    const std::lock_guard lock(moments_mutex_);
    return origin_;
  }
  size_t samples() const { return count_.load(std::memory_order_relaxed); }
  size_t target_dimensions() const {
    const size_t dimensions = dimensions_.load(std::memory_order_relaxed);
    return dimensions == 0 ? target_ : std::min(target_, dimensions);
  }
  /// Calls `use` with the model, or with null before the first fit. The model lives during the call.
  template <typename Use>
  auto with_model(Use use) const {
    const base::EpochGuard guard;
    return use(model_.load(std::memory_order_acquire));
  }

 private:
  Result<void> check_dimension(size_t dimensions) const;
  void publish(std::unique_ptr<match::PcaModel> model);

  const size_t target_;
  const std::shared_ptr<vault::Vault> vault_;           // null: files are plain
  std::atomic<const match::PcaModel*> model_{nullptr};  // retired through base/epoch.h
  std::atomic<size_t> count_{0};
  std::atomic<size_t> dimensions_{0};
  std::mutex fit_mutex_;  // one fit or load at a time; taken before moments_mutex_
  mutable std::mutex moments_mutex_;
  match::Moments moments_;  // guarded by moments_mutex_
  std::string origin_;      // guarded by moments_mutex_
};

/// The moments_mutex_ is held.
Result<void> PCAWrapper::Impl::check_dimension(size_t dimensions) const {
  if (dimensions == 0 || dimensions > match::kPcaDimensionsMax)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a sample has {} dimensions, allowed are 1 to {}",
                                                         dimensions, match::kPcaDimensionsMax));
  if (moments_.dimensions() != 0 && moments_.dimensions() != dimensions)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a sample has {} dimensions, the ones before had {}",
                                                         dimensions, moments_.dimensions()));
  return {};
}

Result<void> PCAWrapper::Impl::add(std::span<const float> sample) {
  if (!is_finite(sample))
    return fail(ErrorCode::kInvalidArgument, "a sample holds a value that is not finite");
  const std::lock_guard lock(moments_mutex_);
  if (auto fits = check_dimension(sample.size()); !fits) return fits;
  if (moments_.dimensions() == 0) moments_.start(sample.size());
  moments_.add(sample);
  dimensions_.store(moments_.dimensions(), std::memory_order_relaxed);
  count_.store(moments_.count, std::memory_order_relaxed);
  return {};
}

Result<void> PCAWrapper::Impl::add_rows(const Matrix& samples) {
  if (samples.values.size() != samples.rows * samples.columns)
    return fail(ErrorCode::kInvalidArgument, fmt::format("a {} x {} matrix with {} values", samples.rows,
                                                         samples.columns, samples.values.size()));
  if (!is_finite(samples.values))
    return fail(ErrorCode::kInvalidArgument, "a sample holds a value that is not finite");
  const std::lock_guard lock(moments_mutex_);
  if (auto fits = check_dimension(samples.columns); !fits) return fits;
  if (moments_.dimensions() == 0) moments_.start(samples.columns);
  moments_.add_rows(Eigen::Map<const match::RowMatrix>(samples.values.data(),
                                                       static_cast<Eigen::Index>(samples.rows),
                                                       static_cast<Eigen::Index>(samples.columns)));
  dimensions_.store(moments_.dimensions(), std::memory_order_relaxed);
  count_.store(moments_.count, std::memory_order_relaxed);
  return {};
}

void PCAWrapper::Impl::publish(std::unique_ptr<match::PcaModel> model) {
  const match::PcaModel* old = model_.exchange(model.release(), std::memory_order_acq_rel);
  if (old != nullptr) base::epoch_retire(old, bytes_of(*old));
}

Result<void> PCAWrapper::Impl::fit() {
  const std::lock_guard fit_lock(fit_mutex_);
  match::Moments seen;
  {
    const std::lock_guard lock(moments_mutex_);
    if (moments_.count < 2)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("PCA needs two samples at least, there are {}", moments_.count));
    seen = moments_;  // a copy, so that samples can be added while the fit runs
  }
  const size_t target = std::min(target_, seen.dimensions());
  auto model = match::fit_pca(seen, target);
  model->version = with_model([](const match::PcaModel* now) { return now ? now->version : 0; }) + 1;
  if (model->effective < target)
    base::log_info("PCA: {} of {} components carry variance ({} samples); the rest are zero",
                   model->effective, target, model->samples);
  publish(std::move(model));
  return {};
}

Result<std::vector<float>> PCAWrapper::Impl::transform(std::span<const float> sample) const {
  return with_model([&](const match::PcaModel* model) -> Result<std::vector<float>> {
    if (model == nullptr) return fail(ErrorCode::kUnavailable, "PCA has not been fitted yet");
    if (sample.size() != static_cast<size_t>(model->components.cols()))
      return fail(ErrorCode::kInvalidArgument, fmt::format("a sample has {} dimensions, PCA was fitted on {}",
                                                           sample.size(), model->components.cols()));
    std::vector<float> out(static_cast<size_t>(model->components.rows()));
    model->transform(sample, out);
    return out;
  });
}

Result<Matrix> PCAWrapper::Impl::transform_rows(const Matrix& samples) const {
  Matrix out;
  for (size_t row = 0; row < samples.rows; ++row) {
    EGPTC_TRY(const std::vector<float> projected,
              transform(std::span(samples.values).subspan(row * samples.columns, samples.columns)));
    out.columns = projected.size();
    out.values.insert(out.values.end(), projected.begin(), projected.end());
  }
  out.rows = samples.rows;
  return out;
}

Result<void> PCAWrapper::Impl::save(const std::string& path) const {
  match::Moments seen;
  std::string origin;
  {
    const std::lock_guard lock(moments_mutex_);
    seen = moments_;
    origin = origin_;
  }
  if (seen.dimensions() == 0) return fail(ErrorCode::kUnavailable, "there is no PCA sample to save yet");
  std::string bytes = with_model([&](const match::PcaModel* model) {
    return match::encode_pca(origin, std::min(target_, seen.dimensions()), seen, model);
  });
  if (vault_ != nullptr) bytes = vault_->to_file(name_of(path), bytes);
  return match::write_file_atomically(path, bytes);
}

Result<void> PCAWrapper::Impl::load(const std::string& path) {
  EGPTC_TRY(std::string bytes, match::read_file(path, kFileBytesMax));
  if (vault_ != nullptr) {
    EGPTC_TRY(bytes, vault_->from_file(name_of(path), std::move(bytes)));
  }
  auto decoded = match::decode_pca(bytes);
  if (!decoded) return fail(decoded.error().code, fmt::format("{}: {}", path, decoded.error().message));
  if (decoded->target != std::min(target_, decoded->moments.dimensions()))
    return fail(ErrorCode::kUnsupported, fmt::format("{} keeps {} dimensions, pca.target_dimensions is {}",
                                                     path, decoded->target, target_));
  const std::lock_guard fit_lock(fit_mutex_);
  {
    const std::lock_guard lock(moments_mutex_);
    moments_ = std::move(decoded->moments);
    origin_ = std::move(decoded->origin);
    dimensions_.store(moments_.dimensions(), std::memory_order_relaxed);
    count_.store(moments_.count, std::memory_order_relaxed);
  }
  publish(std::move(decoded->model));
  return {};
}

PCAWrapper::PCAWrapper(const PcaOptions& options) : impl_(std::make_unique<Impl>(options)) {}
PCAWrapper::~PCAWrapper() = default;
Result<void> PCAWrapper::add(std::span<const float> sample) { return impl_->add(sample); }
Result<void> PCAWrapper::fit() { return impl_->fit(); }
bool PCAWrapper::fitted() const { return version() > 0; }
Result<std::vector<float>> PCAWrapper::transform(std::span<const float> sample) const {
  return impl_->transform(sample);
}
Result<Matrix> PCAWrapper::fit_transform(const Matrix& samples) {
  if (auto added = impl_->add_rows(samples); !added) return fail(std::move(added).error());
  if (auto fit_result = impl_->fit(); !fit_result) return fail(std::move(fit_result).error());
  return impl_->transform_rows(samples);
}
void PCAWrapper::set_origin(std::string origin) { impl_->set_origin(std::move(origin)); }
std::string PCAWrapper::origin() const { return impl_->origin(); }
size_t PCAWrapper::samples() const { return impl_->samples(); }
size_t PCAWrapper::target_dimensions() const { return impl_->target_dimensions(); }
size_t PCAWrapper::effective_dimensions() const {
  return impl_->with_model([](const match::PcaModel* model) { return model ? model->effective : 0; });
}
double PCAWrapper::explained_variance() const {
  return impl_->with_model(
      [](const match::PcaModel* model) { return model ? model->explained_variance : 0; });
}
uint64_t PCAWrapper::version() const {
  return impl_->with_model([](const match::PcaModel* model) { return model ? model->version : 0; });
}
Result<void> PCAWrapper::save(const std::string& path) const { return impl_->save(path); }
Result<void> PCAWrapper::load(const std::string& path) { return impl_->load(path); }

}  // namespace enhanced_gptcache
