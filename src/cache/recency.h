#pragma once
// The least recently used element of a heap whose keys are the stamps it last saw, while readers
// stamp elements without telling it.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace enhanced_gptcache::cache {

/// Elements looked at per question, so that one after a long read-only phase stays short.
inline constexpr size_t kRecencyLooksMax = 256;

/// Looks at the top; if it was used since the heap saw it, moves it to its true place and looks
/// again. Exact up to kRecencyLooksMax such elements, the oldest of those looked at beyond. The heap
/// is not empty and its owner's lock is held.
template <typename Heap>
auto& least_recently_used(Heap& heap) {
  auto* best = &heap.top();
  int64_t best_us = INT64_MAX;
  for (size_t looks = 0; looks < kRecencyLooksMax; ++looks) {
    auto& top = heap.top();
    const int64_t used_us = top.used_us.load(std::memory_order_relaxed);
    if (used_us < best_us) {
      best = &top;
      best_us = used_us;
    }
    if (used_us <= heap.top_key()) return top;
    heap.change_top_key(used_us);
  }
  return *best;
}

}  // namespace enhanced_gptcache::cache
