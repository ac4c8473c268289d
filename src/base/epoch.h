#pragma once
// Epoch-based reclamation: readers walk shared structures without locks, writers unlink memory and
// hand it over here, and it is freed once no reader can still see it. One domain per process,
// because a reader's slot belongs to its thread, not to a structure; thousands of small indexes and
// tables share it at no fixed cost. Method: K. Fraser, "Practical lock-freedom" (2004), with a
// stamp per retired block in place of three epochs. There is no atomic_thread_fence: every ordering
// is by acquire-release read-modify-writes, which ThreadSanitizer models and C++20 proves (epoch.cpp).
//
// Rules. A pinned section is short and never blocks: no lock, no I/O, no wait. A pointer read from
// a shared structure is used only until the guard that was there before the read goes away. A block
// is retired after it was unlinked, once, and no new reader can reach it.

#include <cstddef>
#include <cstdint>
#include <memory>

namespace enhanced_gptcache::base {

/// Pins the calling thread for its lifetime: nothing retired from now on is freed before.
/// Thread rule: on the stack of one thread. Wait-free (one exchange on the thread's own cache line;
/// the very first guard of a thread registers it). Guards nest; only the outermost costs anything.
class EpochGuard {
 public:
  EpochGuard();
  ~EpochGuard();
  EpochGuard(const EpochGuard&) = delete;
  EpochGuard& operator=(const EpochGuard&) = delete;
};

/// Any thread. Calls `deleter(object)` once when every reader pinned now is gone: on this or another
/// retiring thread, never under a lock of this file, so a deleter may retire in turn. `bytes` counts
/// into the backlog. Blocks for at most kEpochRetireWaitMs when the backlog is over its limit and
/// this thread is not pinned itself (writers wait for readers, never the reverse).
void epoch_retire(void* object, void (*deleter)(void*), size_t bytes);

/// The same for an object made by new.
template <typename T>
void epoch_retire(T* object, size_t bytes = sizeof(T)) {
  epoch_retire(
      const_cast<void*>(static_cast<const void*>(object)), [](void* p) { delete static_cast<T*>(p); }, bytes);
}
template <typename T>
void epoch_retire(std::unique_ptr<T> object, size_t bytes = sizeof(T)) {
  if (object) epoch_retire(object.release(), bytes);
}

/// Frees what no reader can see any more; how many blocks that were. Retiring does this by itself
/// every few blocks; call it to give memory back early.
size_t epoch_collect();

/// For structures that reuse a place instead of freeing it: take a stamp after unlinking the place,
/// and write to it again only once epoch_passed(stamp). Any thread; a stamp costs one shared
/// increment, the question one exchange per registered thread.
uint64_t epoch_stamp();
bool epoch_passed(uint64_t stamp);

/// Waits until everything retired before the call is freed: for shutdown and tests, on a thread that
/// is not pinned. False when readers stayed pinned for longer than `timeout_ms`.
bool epoch_drain(int64_t timeout_ms);

/// Limits of the backlog: above either, retiring threads wait for readers.
inline constexpr size_t kEpochBacklogBlocksMax = 8192;
inline constexpr size_t kEpochBacklogBytesMax = size_t{64} << 20U;
inline constexpr int64_t kEpochRetireWaitMs = 50;

struct EpochStats {
  size_t backlog_blocks = 0;  ///< retired, not yet freed
  size_t backlog_bytes = 0;
  uint64_t retired = 0;  ///< blocks, ever
  uint64_t freed = 0;
  uint64_t overruns = 0;  ///< times a retiring thread waited in vain for readers
  size_t threads = 0;     ///< registered now
  size_t slots = 0;       ///< most threads registered at once so far
};
EpochStats epoch_stats();

}  // namespace enhanced_gptcache::base
