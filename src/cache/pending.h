#pragma once
// CacheImpl::Pending: alive while an asynchronous call may still use the cache.

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {

class CacheImpl::Pending {
 public:
  explicit Pending(CacheImpl& cache) : cache_(cache) {
    const std::lock_guard lock(cache_.pending_mutex_);
    ++cache_.pending_;
  }
  ~Pending() {
    // Told under the lock: the destructor that waits for it may free the condition right after.
    const std::lock_guard lock(cache_.pending_mutex_);
    if (--cache_.pending_ == 0) cache_.none_pending_.notify_all();
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  CacheImpl& cache_;
};

}  // namespace enhanced_gptcache::cache
