#pragma once
// CacheImpl::Pending: alive while an asynchronous call may still use the cache.

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {

class CacheImpl::Pending {
 public:
  explicit Pending(CacheImpl& cache) : calls_(cache.pending_) {
    calls_->count.fetch_add(1, std::memory_order_relaxed);
  }
  ~Pending() {
    // The calls' own object, because the cache may be gone as soon as the count is zero.
    if (calls_->count.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const std::lock_guard lock(calls_->mutex);
    calls_->none_left.notify_all();
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  const std::shared_ptr<PendingCalls> calls_;
};

}  // namespace enhanced_gptcache::cache
