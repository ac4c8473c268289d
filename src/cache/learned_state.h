#pragma once
// What was learned from labels, kept over a restart: taus and error budgets, one file each in the storage
// folder. A file that cannot be used is set aside under another name and learning starts afresh, with a
// warning: without evidence the calibrated threshold holds, which is the stricter rule.

#include <string>

#include "cache/budgets.h"
#include "enhanced_gptcache/tau_manager.h"

namespace enhanced_gptcache::cache {

/// Thread rule: one thread at a time.
class LearnedState {
 public:
  /// `folder` empty: nothing is kept.
  LearnedState(std::string folder, TauManager& tau, Budgets& budgets)
      : folder_(std::move(folder)), tau_(tau), budgets_(budgets) {}

  void load(double target);
  /// Writes what has changed since the last call; failures are logged, and tried again next time.
  void save();
  /// The same, at most once in a minute of `mono_us`; budgets are brought up to date with what was observed.
  void save_sometimes(int64_t mono_us, double target);

 private:
  std::string folder_;
  TauManager& tau_;
  Budgets& budgets_;
  uint64_t tau_updates_saved_ = 0;
  uint64_t labels_saved_ = 0;
  int64_t saved_us_ = 0;
};

}  // namespace enhanced_gptcache::cache
