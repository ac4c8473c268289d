#include "cache/pca_feed.h"

#include "base/log.h"

namespace enhanced_gptcache::cache {
namespace {

bool is_same_model(const PcaOptions& a, const PcaOptions& b) {
  return a.enabled == b.enabled && a.target_dimensions == b.target_dimensions &&
         a.training_samples == b.training_samples && a.model_path == b.model_path;
}

}  // namespace

PcaFeed::PcaFeed(const PcaOptions& options) : options_(options), model_(std::make_shared<Model>(options)) {}

void PcaFeed::offer(std::string_view tenant, size_t tenant_entries, std::span<const float> vector) {
  std::shared_ptr<Model> model;
  {
    const std::lock_guard lock(mutex_);
    if (!options_.enabled) return;
    if (!has_tenant_) {
      tenant_ = tenant;
      has_tenant_ = true;
    }
    if (tenant != tenant_) return;
    tenant_entries_ = tenant_entries;
    model = model_;
  }
  model->trainer.observe(vector);
}

void PcaFeed::work() {
  std::shared_ptr<Model> model;
  {
    const std::lock_guard lock(mutex_);
    model = model_;
  }
  if (model->trainer.is_due()) {
    if (auto run = model->trainer.run(); !run) base::log_warning("pca: {}", run.error().message);
  }
  const std::lock_guard lock(mutex_);
  is_active_.store(
      options_.enabled && model_->pca.fitted() && tenant_entries_ >= options_.compression_threshold,
      std::memory_order_relaxed);
}

void PcaFeed::set_options(const PcaOptions& options) {
  const std::lock_guard lock(mutex_);
  if (!is_same_model(options_, options)) {
    model_ = std::make_shared<Model>(options);
    is_active_.store(false, std::memory_order_relaxed);
  }
  options_ = options;
}

}  // namespace enhanced_gptcache::cache
