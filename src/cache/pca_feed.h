#pragma once
// Which vectors train the compression of embeddings: those of one tenant, the first that stores any.
// A model is never fitted across tenants. Nothing is decided by compressed vectors; full-space
// similarity alone is held against thresholds.

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "enhanced_gptcache/options.h"
#include "match/pca_trainer.h"

namespace enhanced_gptcache::cache {

/// Thread rule: offer(), active() and set_options() from any thread; work() from one thread at a time.
class PcaFeed {
 public:
  explicit PcaFeed(const PcaOptions& options);

  /// The vector of an entry that was just stored; `tenant_entries` with it. Cheap: copies it at most.
  void offer(std::string_view tenant, size_t tenant_entries, std::span<const float> vector);
  /// Trains when that is due (match/pca_trainer.h tells when) and saves at model_path.
  void work();
  /// Fitted, and the tenant has reached compression_threshold.
  bool active() const { return is_active_.load(std::memory_order_relaxed); }
  /// Starts over when a setting of the model changed.
  void set_options(const PcaOptions& options);

 private:
  struct Model {
    explicit Model(const PcaOptions& options) : pca(options), trainer(options, pca) {}
    PCAWrapper pca;
    match::PcaTrainer trainer;
  };

  mutable std::mutex mutex_;
  PcaOptions options_;            // guarded by mutex_
  std::string tenant_;            // guarded by mutex_; whose vectors these are
  bool has_tenant_ = false;       // guarded by mutex_
  size_t tenant_entries_ = 0;     // guarded by mutex_
  std::shared_ptr<Model> model_;  // guarded by mutex_; guards itself
  std::atomic<bool> is_active_{false};
};

}  // namespace enhanced_gptcache::cache
