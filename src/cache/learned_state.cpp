#include "cache/learned_state.h"

#include <filesystem>

#include "base/log.h"
#include "match/pca_file.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr int64_t kSaveIntervalUs = 60'000'000;
/// 100,000 users with the longest names, twice over.
constexpr size_t kFileBytesMax = size_t{64} << 20U;
constexpr const char* kTausFile = "taus.bin";
constexpr const char* kBudgetsFile = "error_budgets.bin";

}  // namespace

template <typename Restore>
bool LearnedState::load_file(const char* name, const char* what, const Restore& restore) {
  const std::string path = folder_ + "/" + name;
  auto bytes = match::read_file(path, kFileBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return true;
  if (bytes && vault_ != nullptr) bytes = vault_->from_file(name, std::move(*bytes));
  if (!bytes && bytes.error().code == ErrorCode::kInvalidArgument) {
    // A key is missing, not the file damaged: it must not be written over.
    base::log_error("{}; {} are not kept", bytes.error().message, what);
    folder_.clear();
    return false;
  }
  const Result<void> done = bytes ? restore(*bytes) : Result<void>(fail(bytes.error()));
  if (done) return true;
  std::error_code ignored;
  std::filesystem::rename(path, path + ".damaged", ignored);
  base::log_warning("{} cannot be used ({}): {} start afresh; the file is kept as {}.damaged", path,
                    done.error().message, what, path);
  return false;
}

bool LearnedState::save_file(const char* name, const std::string& bytes) const {
  const auto done = match::write_file_atomically(folder_ + "/" + name,
                                                 vault_ == nullptr ? bytes : vault_->to_file(name, bytes));
  if (!done) base::log_warning("what was learned is not saved: {}", done.error().message);
  return done.has_value();
}

void LearnedState::load(double target) {
  const std::lock_guard lock(mutex_);
  if (folder_.empty()) return;
  load_file(kTausFile, "taus", [this](std::string_view bytes) { return tau_.restore(bytes); });
  if (folder_.empty()) return;
  const bool is_well = load_file(kBudgetsFile, "error budgets", [this, target](std::string_view bytes) {
    return budgets_.restore(bytes, target);
  });
  if (!is_well) budgets_.be_cautious();
  tau_updates_saved_ = tau_.updates();
  labels_saved_ = budgets_.labels();
}

void LearnedState::save_changed() {
  if (folder_.empty()) return;
  if (const uint64_t updates = tau_.updates(); updates != tau_updates_saved_) {
    if (save_file(kTausFile, tau_.serialise())) tau_updates_saved_ = updates;
  }
  if (const uint64_t labels = budgets_.labels(); labels != labels_saved_) {
    if (save_file(kBudgetsFile, budgets_.serialise())) labels_saved_ = labels;
  }
}

void LearnedState::save() {
  const std::lock_guard lock(mutex_);
  save_changed();
}

bool LearnedState::save_all() {
  const std::lock_guard lock(mutex_);
  if (folder_.empty()) return true;
  const bool is_saved = save_file(kTausFile, tau_.serialise());
  return save_file(kBudgetsFile, budgets_.serialise()) && is_saved;
}

void LearnedState::save_sometimes(int64_t mono_us, double target) {
  const std::lock_guard lock(mutex_);
  if (mono_us - saved_us_ < kSaveIntervalUs) return;
  saved_us_ = mono_us;
  budgets_.refresh(target);
  save_changed();
}

}  // namespace enhanced_gptcache::cache
