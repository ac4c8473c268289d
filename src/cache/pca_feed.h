#pragma once
// Which vectors train the compression of embeddings: those of one tenant, the first that stores any.
// A model is never fitted across tenants. Nothing is decided by compressed vectors; full-space
// similarity alone is held against thresholds.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/options.h"
#include "match/pca_trainer.h"

namespace enhanced_gptcache::cache {

/// Thread rule: offer(), describe() and set_options() from any thread; work() from one thread at a time.
class PcaFeed {
 public:
  /// Goes on from the file at model_path if that was trained on vectors of this embedding model. One that
  /// cannot be used is named in the log and never an error: a damaged one is kept as `.damaged`, one sealed
  /// with another key is left alone, and training starts afresh.
  PcaFeed(const PcaOptions& options, std::string_view model_epoch);

  /// The vector of an entry that was just stored. Cheap: copies it at most.
  void offer(std::string_view tenant, std::span<const float> vector);
  /// Trains when that is due (match/pca_trainer.h tells when) and saves at model_path. `entries_of` counts a
  /// tenant's entries.
  void work(const std::function<size_t(std::string_view tenant)>& entries_of);
  /// Fills the fields that begin with pca_. Active: fitted, and the tenant has reached compression_threshold.
  void describe(CacheStats& stats) const;
  /// Starts over when a setting of the model changed.
  void set_options(const PcaOptions& options);

 private:
  struct Model {
    explicit Model(const PcaOptions& its_options) : options(its_options), pca(options) {}
    PcaOptions options;  ///< model_path is emptied where the file must stay as it is
    PCAWrapper pca;
    std::unique_ptr<match::PcaTrainer> trainer;  ///< made once the file was read
    bool is_loaded = false;                      ///< from the file
    std::string tenant;                          ///< whose vectors these are, by the file
  };

  std::shared_ptr<Model> open_model(const PcaOptions& options);
  Result<void> load(Model& model) const;
  std::string origin_of(std::string_view tenant) const;

  const std::string model_epoch_;
  mutable std::mutex mutex_;
  PcaOptions options_;            // guarded by mutex_
  std::string tenant_;            // guarded by mutex_; whose vectors these are
  bool has_tenant_ = false;       // guarded by mutex_
  std::string problem_;           // guarded by mutex_
  uint64_t files_refused_ = 0;    // guarded by mutex_
  std::shared_ptr<Model> model_;  // guarded by mutex_; guards itself
  std::atomic<bool> is_active_{false};
};

}  // namespace enhanced_gptcache::cache
