#pragma once
// What was learned from labels, kept over a restart: taus and error budgets, one file each in the storage
// folder. A file that cannot be used is set aside under another name and learning starts afresh, with a
// warning: without evidence the calibrated threshold holds, which is the stricter rule.

#include <memory>
#include <mutex>
#include <string>

#include "cache/budgets.h"
#include "enhanced_gptcache/tau_manager.h"
#include "vault/vault.h"

namespace enhanced_gptcache::cache {

/// Thread rule: any thread.
class LearnedState {
 public:
  /// `folder` empty: nothing is kept. `vault` null: the files are plain.
  LearnedState(std::string folder, TauManager& tau, Budgets& budgets,
               std::shared_ptr<vault::Vault> vault = nullptr)
      : folder_(std::move(folder)), vault_(std::move(vault)), tau_(tau), budgets_(budgets) {}

  void load(double target);
  /// Writes what has changed since the last call; failures are logged, and tried again next time.
  void save();
  /// Both files, changed or not: something was forgotten, or is to be sealed anew. False: one of them failed.
  bool save_all();
  /// The same, at most once in a minute of `mono_us`; budgets are brought up to date with what was observed.
  void save_sometimes(int64_t mono_us, double target);

 private:
  /// False: there is a file and it cannot be used.
  template <typename Restore>
  bool load_file(const char* name, const char* what, const Restore& restore);
  bool save_file(const char* name, const std::string& bytes) const;
  void save_changed();

  std::mutex mutex_;  // one save at a time
  std::string folder_;
  const std::shared_ptr<vault::Vault> vault_;
  TauManager& tau_;
  Budgets& budgets_;
  uint64_t tau_updates_saved_ = 0;
  uint64_t labels_saved_ = 0;
  int64_t saved_us_ = 0;
};

}  // namespace enhanced_gptcache::cache
