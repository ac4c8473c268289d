#include "cache/learned_state.h"

#include <filesystem>

#include "base/log.h"
#include "match/pca_file.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr int64_t kSaveIntervalUs = 60'000'000;
/// 100,000 users with the longest names, twice over.
constexpr size_t kFileBytesMax = size_t{64} << 20U;
constexpr const char* kTausFile = "/taus.bin";
constexpr const char* kBudgetsFile = "/error_budgets.bin";

/// False: there is a file and it cannot be used.
template <typename Restore>
bool load_file(const std::string& path, const char* what, const Restore& restore) {
  auto bytes = match::read_file(path, kFileBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return true;
  const Result<void> done = bytes ? restore(*bytes) : Result<void>(fail(bytes.error()));
  if (done) return true;
  std::error_code ignored;
  std::filesystem::rename(path, path + ".damaged", ignored);
  base::log_warning("{} cannot be used ({}): {} start afresh; the file is kept as {}.damaged", path,
                    done.error().message, what, path);
  return false;
}

bool save_file(const std::string& path, const std::string& bytes) {
  const auto done = match::write_file_atomically(path, bytes);
  if (!done) base::log_warning("what was learned is not saved: {}", done.error().message);
  return done.has_value();
}

}  // namespace

void LearnedState::load(double target) {
  if (folder_.empty()) return;
  load_file(folder_ + kTausFile, "taus", [this](std::string_view bytes) { return tau_.restore(bytes); });
  const bool is_well =
      load_file(folder_ + kBudgetsFile, "error budgets",
                [this, target](std::string_view bytes) { return budgets_.restore(bytes, target); });
  if (!is_well) budgets_.be_cautious();
  tau_updates_saved_ = tau_.updates();
  labels_saved_ = budgets_.labels();
}

void LearnedState::save() {
  if (folder_.empty()) return;
  if (const uint64_t updates = tau_.updates(); updates != tau_updates_saved_) {
    if (save_file(folder_ + kTausFile, tau_.serialise())) tau_updates_saved_ = updates;
  }
  if (const uint64_t labels = budgets_.labels(); labels != labels_saved_) {
    if (save_file(folder_ + kBudgetsFile, budgets_.serialise())) labels_saved_ = labels;
  }
}

void LearnedState::save_sometimes(int64_t mono_us, double target) {
  if (mono_us - saved_us_ < kSaveIntervalUs) return;
  saved_us_ = mono_us;
  budgets_.refresh(target);
  save();
}

}  // namespace enhanced_gptcache::cache
