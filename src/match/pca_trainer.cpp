#include "match/pca_trainer.h"

#include <algorithm>

#include "base/log.h"

namespace enhanced_gptcache::match {

PcaTrainer::PcaTrainer(const PcaOptions& options, PCAWrapper& pca) : options_(options), pca_(pca) {
  if (!options_.enabled) {
    frozen_.store(true, std::memory_order_relaxed);
    return;
  }
  plan_next_fit();
}

void PcaTrainer::plan_next_fit() {
  const size_t first = std::clamp<size_t>(options_.training_samples, 2, kPcaSamplesMax);
  const size_t samples = pca_.samples();
  size_t next = first;
  // The milestones are fixed (first, 2 x first, 4 x first, ...), wherever a restart came in between.
  while (pca_.fitted() && next <= samples) next *= 2;
  next_fit_samples_.store(std::min(next, kPcaSamplesMax), std::memory_order_relaxed);
  if (pca_.fitted() && samples >= kPcaSamplesMax) frozen_.store(true, std::memory_order_relaxed);
}

void PcaTrainer::observe(std::span<const float> vector) {
  if (is_frozen()) return;
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kPcaWaitingMax) return;
  waiting_.emplace_back(vector.begin(), vector.end());
  const bool fit_possible =
      pca_.samples() + waiting_.size() >= next_fit_samples_.load(std::memory_order_relaxed);
  if (fit_possible || waiting_.size() >= kPcaWaitingMax / 2) due_.store(true, std::memory_order_relaxed);
}

Result<bool> PcaTrainer::run() {
  if (is_frozen()) return false;
  std::vector<std::vector<float>> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(waiting_);
    due_.store(false, std::memory_order_relaxed);
  }
  for (const std::vector<float>& vector : taken) {
    if (pca_.samples() >= kPcaSamplesMax) break;
    // One odd vector (another model's dimension) must not stop the training on the others.
    if (auto added = pca_.add(vector); !added)
      base::log_warning("PCA sample left out: {}", added.error().message);
  }
  if (pca_.samples() < next_fit_samples_.load(std::memory_order_relaxed)) return false;
  if (auto fitted = pca_.fit(); !fitted) return fail(std::move(fitted).error());
  plan_next_fit();
  base::log_info("PCA: fitted on {} samples, {:.1f} % of the variance kept", pca_.samples(),
                 100.0 * pca_.explained_variance());
  if (!options_.model_path.empty()) {
    if (auto saved = pca_.save(options_.model_path); !saved) return fail(std::move(saved).error());
  }
  return true;
}

}  // namespace enhanced_gptcache::match
