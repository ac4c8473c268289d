#include "cache/pca_feed.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "base/log.h"

namespace enhanced_gptcache::cache {
namespace {

bool is_same_model(const PcaOptions& a, const PcaOptions& b) {
  return a.enabled == b.enabled && a.target_dimensions == b.target_dimensions &&
         a.training_samples == b.training_samples && a.model_path == b.model_path;
}

/// Model and tenant in an origin; neither holds a line break.
constexpr char kOriginSeparator = '\n';

}  // namespace

PcaFeed::PcaFeed(const PcaOptions& options, std::string_view model_epoch)
    : model_epoch_(model_epoch), options_(options), model_(open_model(options)) {
  tenant_ = model_->tenant;
  has_tenant_ = model_->is_loaded;
}

std::string PcaFeed::origin_of(std::string_view tenant) const {
  return fmt::format("{}{}{}", model_epoch_, kOriginSeparator, tenant);
}

/// kUnsupported: sound, but of no use here.
Result<void> PcaFeed::load(Model& model) const {
  const std::string& path = model.options.model_path;
  PCAWrapper trial(model.options);
  EGPTC_TRY_VOID(trial.load(path));
  const std::string origin = trial.origin();
  const std::string expected = origin_of("");
  if (origin.empty()) return fail(ErrorCode::kUnsupported, fmt::format("{} does not say whose it is", path));
  if (!origin.starts_with(expected))
    return fail(ErrorCode::kUnsupported, fmt::format("{} was trained for another embedding model", path));
  EGPTC_TRY_VOID(model.pca.load(path));
  model.tenant = origin.substr(expected.size());
  model.is_loaded = true;
  return {};
}

/// The mutex_ is held, or nobody else knows this object yet.
std::shared_ptr<PcaFeed::Model> PcaFeed::open_model(const PcaOptions& options) {
  auto model = std::make_shared<Model>(options);
  problem_.clear();
  if (options.enabled && !options.model_path.empty()) {
    const std::string path = options.model_path;
    const auto loaded = load(*model);
    if (loaded) {
      base::log_info("pca: {} read, {} samples", path, model->pca.samples());
    } else if (loaded.error().code != ErrorCode::kNotFound) {
      problem_ = loaded.error().message;
      ++files_refused_;
      std::string kept = "it is replaced after the next fit";
      if (loaded.error().code == ErrorCode::kCorrupt) {
        std::error_code ignored;
        std::filesystem::rename(path, path + ".damaged", ignored);
        kept = fmt::format("the file is kept as {}.damaged", path);
      } else if (loaded.error().code == ErrorCode::kInvalidArgument) {
        // A key is missing, not the file damaged: it must not be written over.
        model->options.model_path.clear();
        kept = "the file stays as it is and the new model in memory";
      }
      base::log_warning("pca: {} cannot be used ({}): trained afresh; {}", path, problem_, kept);
    }
  }
  model->trainer = std::make_unique<match::PcaTrainer>(model->options, model->pca);
  return model;
}

void PcaFeed::offer(std::string_view tenant, std::span<const float> vector) {
  std::shared_ptr<Model> model;
  {
    const std::lock_guard lock(mutex_);
    if (!options_.enabled) return;
    if (!has_tenant_) {
      tenant_ = tenant;
      has_tenant_ = true;
      model_->pca.set_origin(origin_of(tenant_));
    }
    if (tenant != tenant_) return;
    model = model_;
  }
  model->trainer->observe(vector);
}

void PcaFeed::work(const std::function<size_t(std::string_view tenant)>& entries_of) {
  std::shared_ptr<Model> model;
  PcaOptions options;
  std::string tenant;
  {
    const std::lock_guard lock(mutex_);
    model = model_;
    options = options_;
    tenant = tenant_;
  }
  if (model->trainer->is_due()) {
    if (auto run = model->trainer->run(); !run) base::log_warning("pca: {}", run.error().message);
  }
  const bool is_active =
      options.enabled && model->pca.fitted() && entries_of(tenant) >= options.compression_threshold;
  const std::lock_guard lock(mutex_);
  if (model_ == model) is_active_.store(is_active, std::memory_order_relaxed);
}

void PcaFeed::describe(CacheStats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.pca_active = is_active_.load(std::memory_order_relaxed);
  stats.pca_samples = model_->pca.samples();
  stats.pca_version = model_->pca.version();
  stats.pca_explained_variance = model_->pca.explained_variance();
  stats.pca_loaded = model_->is_loaded;
  stats.pca_files_refused = files_refused_;
  stats.pca_problem = problem_;
}

void PcaFeed::set_options(const PcaOptions& options) {
  const std::lock_guard lock(mutex_);
  if (!is_same_model(options_, options)) {
    model_ = open_model(options);
    // The samples of a tenant stay its own: a model of nobody yet goes on with the tenant there is.
    if (model_->is_loaded) tenant_ = model_->tenant, has_tenant_ = true;
    if (has_tenant_) model_->pca.set_origin(origin_of(tenant_));
    is_active_.store(false, std::memory_order_relaxed);
  }
  options_ = options;
}

}  // namespace enhanced_gptcache::cache
