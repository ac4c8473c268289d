#pragma once
// Keeps answers out that were asked for before a flush and come back after it. Whoever takes entries out
// advances the scope they belong to; whoever asks a provider remembers the generation at that time, and
// what came back is filed only when none of its scopes has advanced since.

#include <array>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <span>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::cache {

/// Scopes are hashes (of a tenant, a namespace, a request) that share a fixed table: two in one slot cost an
/// answer that could have been learned, never one that must not be. Thread rule: any thread.
class Generations {
 public:
  uint64_t now() const { return now_.load(std::memory_order_acquire); }

  /// Call before entries are looked for to be taken out: what is filed by then is found, and what is not is
  /// refused by file_unless_advanced().
  void advance(const base::Hash128& scope) {
    const std::unique_lock lock(mutex_);
    slot(scope) = now_.fetch_add(1, std::memory_order_acq_rel) + 1;
  }

  /// Calls `file` and returns true, unless one of `scopes` has advanced after generation `since`.
  template <typename File>
  bool file_unless_advanced(uint64_t since, std::span<const base::Hash128> scopes, const File& file) {
    const std::shared_lock lock(mutex_);
    for (const base::Hash128& scope : scopes)
      if (slot(scope) > since) return false;
    file();
    return true;
  }

 private:
  static constexpr size_t kSlots = 4096;
  uint64_t& slot(const base::Hash128& scope) { return slots_[scope.low % kSlots]; }

  std::atomic<uint64_t> now_{0};
  std::shared_mutex mutex_;  // shared while filing, so that advance() waits for what passed the check
  std::array<uint64_t, kSlots> slots_{};  // guarded by mutex_
};

}  // namespace enhanced_gptcache::cache
