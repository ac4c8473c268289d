#pragma once
// Independent pieces of work over a few threads.

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::eval {

/// Calls `work` once for each index below `count`, on at most `threads` threads, this one among them.
/// Blocks. The first error stops the rest and is returned.
inline Result<void> for_each_index(size_t count, size_t threads,
                                   const std::function<Result<void>(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::optional<Error> first;  // guarded by mutex
  const auto loop = [&] {
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      auto done = work(i);
      if (done) continue;
      next.store(count);
      const std::lock_guard lock(mutex);
      if (!first) first = std::move(done).error();
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(loop);
    loop();
  }
  if (first) return fail(std::move(*first));
  return {};
}

}  // namespace enhanced_gptcache::eval
