#pragma once
// Which entry was used longest ago, and which expires first. Readers only stamp the entry they
// return (Record::used_us); the order is repaired when a victim is asked for: the heap holds the
// stamps it last saw (cache/recency.h). So eviction is exactly least-recently-used while at most
// kRecencyLooksMax entries were used since anyone looked, and takes the oldest of that many beyond,
// while no reader ever takes a lock.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "cache/record.h"

namespace enhanced_gptcache::cache {

/// Thread rule: any thread. Holds no references: a record is removed here before it is retired.
class Ledger {
 public:
  void add(Record& record);
  void remove(Record& record);
  /// The least recently used; null when empty. It stays in the ledger.
  RecordPtr oldest();
  /// Up to `count_max` entries that expired by `now_ms`, each given out once: the caller removes them.
  std::vector<RecordPtr> take_expired(int64_t now_ms, size_t count_max);

  /// Every record, in no particular order.
  std::vector<RecordPtr> all() const;

  size_t record_bytes() const { return record_bytes_.load(std::memory_order_relaxed); }
  size_t size() const { return size_.load(std::memory_order_relaxed); }
  /// Of the records and of the heaps.
  size_t bytes() const {
    return record_bytes_.load(std::memory_order_relaxed) + heap_bytes_.load(std::memory_order_relaxed);
  }

 private:
  void count_heaps();

  mutable std::mutex mutex_;
  IndexedHeap<Record, &Record::place_in_recency> recency_;  // guarded by mutex_
  IndexedHeap<Record, &Record::place_in_expiry> expiry_;    // guarded by mutex_
  std::atomic<size_t> size_{0};
  std::atomic<size_t> record_bytes_{0};
  std::atomic<size_t> heap_bytes_{0};
};

}  // namespace enhanced_gptcache::cache
