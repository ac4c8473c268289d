#pragma once
// When PCA is fitted: first at training_samples, again whenever the samples have doubled, never more
// after a cap. observe() is on the store path and only copies a vector into a bounded buffer; run() does
// the work and belongs on a background thread.

#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/pca_wrapper.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::match {

/// Samples after which the model is frozen: 16 times 1024, by when a fit moves no component any more
/// that 128 of 384 dimensions would show.
inline constexpr size_t kPcaSamplesMax = 16 * 1024;
/// Vectors that may wait for run(); more are passed over, which costs nothing but a sample.
inline constexpr size_t kPcaWaitingMax = 256;

/// Thread rule: observe() and is_due() from any thread; run() by one thread at a time.
class PcaTrainer {
 public:
  /// `pca` must outlive the trainer. A model it has loaded counts: training goes on from there.
  PcaTrainer(const PcaOptions& options, PCAWrapper& pca);
  PcaTrainer(const PcaTrainer&) = delete;
  PcaTrainer& operator=(const PcaTrainer&) = delete;

  /// Hands over one embedding. Free of cost once frozen or when PCA is off.
  void observe(std::span<const float> vector);
  /// Whether run() has something to do that is worth waking a thread for.
  bool is_due() const { return due_.load(std::memory_order_relaxed); }
  /// Adds what waits and fits when it is time, then saves to model_path if there is one. True: a new model
  /// is in use. An error of saving is returned after the model was put in use.
  Result<bool> run();
  /// No further sample changes the model.
  bool is_frozen() const { return frozen_.load(std::memory_order_relaxed); }

 private:
  void plan_next_fit();

  const PcaOptions options_;
  PCAWrapper& pca_;
  std::atomic<bool> due_{false};
  std::atomic<bool> frozen_{false};
  std::atomic<size_t> next_fit_samples_{0};
  std::mutex mutex_;
  std::vector<std::vector<float>> waiting_;  // guarded by mutex_
};

}  // namespace enhanced_gptcache::match
