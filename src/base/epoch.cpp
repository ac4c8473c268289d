// Why it is safe, in the terms of the C++20 memory model.
//
// `now` only ever changes by read-modify-writes, so its modifications form one release sequence.
// Retiring stamps a block with the value e its fetch_add replaced. A block is freed when every slot,
// read by a read-modify-write after the block was unlinked, is idle (0) or holds a value p > e.
//  - p > e: the reader loaded p from a modification that follows the stamping one, which
//    synchronises with it; the unlinking happened before, so the reader cannot have met the block.
//  - idle: either the reader's next exchange comes after our read-modify-write in the slot's
//    modification order and so synchronises with it (the reader sees the unlinking), or the reader
//    had left: its release store is what we read, so all its accesses happened before the free.
// A reader that loaded an old p and stored it late only delays frees; no check-again loop is needed.

#include "base/epoch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace enhanced_gptcache::base {
namespace {

constexpr uint64_t kIdle = 0;
/// A scan reads every slot, so it is shared by this many blocks or bytes.
constexpr size_t kCollectEveryBlocks = 64;
constexpr size_t kCollectEveryBytes = size_t{1} << 20U;

/// One registered thread. Alone on its cache line: readers on other threads do not slow each other.
struct alignas(64) Slot {
  std::atomic<uint64_t> pinned{kIdle};
  std::atomic<bool> taken{true};
  Slot* next = nullptr;  // set before the slot is published, constant then
};

struct Retired {
  void* object;
  void (*deleter)(void*);
  size_t bytes;
  uint64_t stamp;
};

struct Domain {
  alignas(64) std::atomic<uint64_t> now{1};
  alignas(64) std::atomic<Slot*> slots{nullptr};  // grows only: as many as threads ever lived at once
  std::mutex mutex;
  // Guarded by mutex; ordered by stamp, because stamping happens under the mutex too.
  std::deque<Retired> backlog;
  size_t backlog_bytes = 0;
  size_t blocks_since_scan = 0;
  size_t bytes_since_scan = 0;
  uint64_t retired = 0;
  uint64_t freed = 0;
  uint64_t overruns = 0;
};

/// Never destroyed: threads may outlive static destruction. What is retired stays reachable.
Domain& domain() {
  static Domain* const instance = new Domain;
  return *instance;
}

// Plain thread-local values, so that they stay usable while the thread's other thread-local objects
// are destroyed.
thread_local Slot* thread_slot = nullptr;
thread_local uint32_t thread_depth = 0;
thread_local bool thread_exiting = false;

void release_slot() {
  if (thread_slot == nullptr) return;
  thread_slot->taken.store(false, std::memory_order_release);
  thread_slot = nullptr;
}

/// Gives the slot back when the thread ends.
struct SlotReturn {
  ~SlotReturn() {
    thread_exiting = true;
    // A guard is on the stack of a live function, so none can be open here.
    EGPTC_CHECK(thread_depth == 0);
    release_slot();
  }
  void arm() {}
};

void acquire_slot() {
  if (!thread_exiting) {
    thread_local SlotReturn slot_return;
    slot_return.arm();
  }
  Domain& shared = domain();
  for (Slot* slot = shared.slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    bool expected = false;
    if (slot->taken.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) {
      thread_slot = slot;
      return;
    }
  }
  Slot* fresh = new Slot;
  fresh->next = shared.slots.load(std::memory_order_acquire);
  while (!shared.slots.compare_exchange_weak(fresh->next, fresh, std::memory_order_acq_rel)) {
  }
  thread_slot = fresh;
}

/// The smallest stamp that some reader may still see. Must follow the unlinking of what it judges.
uint64_t oldest_pinned() {
  uint64_t oldest = std::numeric_limits<uint64_t>::max();
  for (Slot* slot = domain().slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    // fetch_add(0), not load: see the proof above.
    const uint64_t pinned = slot->pinned.fetch_add(0, std::memory_order_acq_rel);
    if (pinned != kIdle) oldest = std::min(oldest, pinned);
  }
  return oldest;
}

/// Takes what may be freed off the backlog. The mutex is held.
std::vector<Retired> take_free(Domain& shared) {
  shared.blocks_since_scan = 0;
  shared.bytes_since_scan = 0;
  std::vector<Retired> taken;
  if (shared.backlog.empty()) return taken;
  const uint64_t oldest = oldest_pinned();
  while (!shared.backlog.empty() && shared.backlog.front().stamp < oldest) {
    taken.push_back(shared.backlog.front());
    shared.backlog_bytes -= taken.back().bytes;
    shared.backlog.pop_front();
  }
  shared.freed += taken.size();
  return taken;
}

void run_deleters(const std::vector<Retired>& taken) {
  for (const Retired& block : taken) block.deleter(block.object);
}

bool is_over_limit(const Domain& shared) {
  return shared.backlog.size() > kEpochBacklogBlocksMax || shared.backlog_bytes > kEpochBacklogBytesMax;
}

/// Waits for readers until the backlog is under its limit. Gives up rather than hang: a reader that
/// stays pinned for so long broke the rules, and a stopped writer would make that an outage.
void wait_for_readers() {
  Domain& shared = domain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kEpochRetireWaitMs);
  while (true) {
    epoch_collect();
    {
      const std::lock_guard lock(shared.mutex);
      if (!is_over_limit(shared)) return;
      if (std::chrono::steady_clock::now() >= deadline) {
        ++shared.overruns;
        return;
      }
    }
    std::this_thread::yield();
  }
}

}  // namespace

EpochGuard::EpochGuard() {
  if (thread_depth++ > 0) return;
  if (thread_slot == nullptr) acquire_slot();
  const uint64_t now = domain().now.load(std::memory_order_acquire);
  thread_slot->pinned.exchange(now, std::memory_order_acq_rel);
}

EpochGuard::~EpochGuard() {
  if (--thread_depth > 0) return;
  thread_slot->pinned.store(kIdle, std::memory_order_release);
  if (thread_exiting) release_slot();
}

void epoch_retire(void* object, void (*deleter)(void*), size_t bytes) {
  Domain& shared = domain();
  std::vector<Retired> taken;
  bool over_limit = false;
  {
    const std::lock_guard lock(shared.mutex);
    const uint64_t stamp = shared.now.fetch_add(1, std::memory_order_acq_rel);
    shared.backlog.push_back(Retired{object, deleter, bytes, stamp});
    shared.backlog_bytes += bytes;
    ++shared.retired;
    ++shared.blocks_since_scan;
    shared.bytes_since_scan += bytes;
    if (shared.blocks_since_scan >= kCollectEveryBlocks || shared.bytes_since_scan >= kCollectEveryBytes)
      taken = take_free(shared);
    over_limit = is_over_limit(shared);
  }
  run_deleters(taken);
  if (over_limit && thread_depth == 0) wait_for_readers();
}

size_t epoch_collect() {
  Domain& shared = domain();
  std::vector<Retired> taken;
  {
    const std::lock_guard lock(shared.mutex);
    taken = take_free(shared);
  }
  run_deleters(taken);
  return taken.size();
}

uint64_t epoch_stamp() { return domain().now.fetch_add(1, std::memory_order_acq_rel); }

bool epoch_passed(uint64_t stamp) { return stamp < oldest_pinned(); }

bool epoch_drain(int64_t timeout_ms) {
  Domain& shared = domain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  const uint64_t until = shared.now.load(std::memory_order_acquire);
  while (true) {
    epoch_collect();
    {
      const std::lock_guard lock(shared.mutex);
      if (shared.backlog.empty() || shared.backlog.front().stamp >= until) return true;
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::yield();
  }
}

EpochStats epoch_stats() {
  Domain& shared = domain();
  EpochStats stats;
  for (Slot* slot = shared.slots.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
    ++stats.slots;
    if (slot->taken.load(std::memory_order_relaxed)) ++stats.threads;
  }
  const std::lock_guard lock(shared.mutex);
  stats.backlog_blocks = shared.backlog.size();
  stats.backlog_bytes = shared.backlog_bytes;
  stats.retired = shared.retired;
  stats.freed = shared.freed;
  stats.overruns = shared.overruns;
  return stats;
}

}  // namespace enhanced_gptcache::base
