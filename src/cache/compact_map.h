#pragma once
// PointerMap for objects that hold their own key: a slot is one word, the pointer and 16 bits of the key, so
// that another object is hardly ever looked at. A third of the memory; reads, growth and replacing are those
// of PointerMap (pointer_map.h).

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/epoch.h"
#include "base/keyed_hash.h"

namespace enhanced_gptcache::cache {

/// Thread rule: any thread. find() waits for nobody. `kKeyOf` gives an object's key, which never changes;
/// keys are uniform already (keyed hashes, random ids). An object is retired after it was unmapped.
template <typename T, auto kKeyOf>
class CompactMap {
 public:
  CompactMap() = default;
  ~CompactMap() {
    for (Shard& shard : shards_) delete shard.table.load(std::memory_order_acquire);
  }
  CompactMap(const CompactMap&) = delete;
  CompactMap& operator=(const CompactMap&) = delete;

  /// Null when absent. The caller is pinned (EpochGuard) for as long as it uses the pointer.
  T* find(const base::Hash128& key) const {
    const Table* table = shard_of(key).table.load(std::memory_order_acquire);
    if (table == nullptr) return nullptr;
    for (size_t i = key.low & table->mask;; i = (i + 1) & table->mask) {
      const uint64_t word = table->slots[i].load(std::memory_order_acquire);
      if (word == kFree) return nullptr;
      if (is_of(word, key)) return object(word);
    }
  }

  /// Maps the key of `value` to it; what that was mapped to before, or null.
  T* exchange(T* value) {
    const base::Hash128 key = std::invoke(kKeyOf, *value);
    Shard& shard = shard_of(key);
    std::unique_ptr<Table> old_table;
    T* old = nullptr;
    {
      const std::lock_guard lock(shard.mutex);
      std::atomic<uint64_t>* slot = slot_of(shard, key);
      if (slot == nullptr) {
        old_table = make_room(shard);
        slot = free_slot(*shard.table.load(std::memory_order_relaxed), key);
        if (slot->load(std::memory_order_relaxed) == kFree) ++shard.used;
        ++shard.live;
      } else {
        old = object(slot->load(std::memory_order_relaxed));
      }
      slot->store(word_of(value, key), std::memory_order_release);
    }
    retire(std::move(old_table));
    return old;
  }

  /// Unmaps the key of `expected` if it is mapped to it.
  bool erase(const T* expected) {
    const base::Hash128 key = std::invoke(kKeyOf, *expected);
    Shard& shard = shard_of(key);
    std::unique_ptr<Table> old_table;
    {
      const std::lock_guard lock(shard.mutex);
      std::atomic<uint64_t>* slot = slot_of(shard, key);
      if (slot == nullptr || object(slot->load(std::memory_order_relaxed)) != expected) return false;
      slot->store(kTombstone, std::memory_order_release);
      --shard.live;
      const size_t capacity = shard.table.load(std::memory_order_relaxed)->mask + 1;
      if (shard.live == 0 || (capacity > kCapacityMin && shard.live < capacity / 8))
        old_table = rebuild(shard, shard.live);
    }
    retire(std::move(old_table));
    return true;
  }

  size_t size() const {
    size_t total = 0;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      total += shard.live;
    }
    return total;
  }
  /// Of the tables; kept up to date, cheap to read.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kCapacityMin = 4;
  static constexpr uint64_t kFree = 0;
  static constexpr uint64_t kTombstone = 1;  // no object lies there
  // Addresses of a process on x86-64 and AArch64 Linux end below, unless it asks for more (5-level paging).
  static constexpr unsigned kAddressBits = 48;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kAddressBits) - 1;

  struct Table {
    explicit Table(size_t capacity) : mask(capacity - 1), slots(new std::atomic<uint64_t>[capacity]()) {}
    size_t bytes() const { return sizeof(Table) + (mask + 1) * sizeof(uint64_t); }
    const size_t mask;
    const std::unique_ptr<std::atomic<uint64_t>[]> slots;
  };
  struct alignas(64) Shard {
    std::atomic<Table*> table{nullptr};
    mutable std::mutex mutex;
    size_t used = 0;  // guarded by mutex: slots that are not free, tombstones included
    size_t live = 0;  // guarded by mutex
  };

  static uint64_t tag_of(const base::Hash128& key) { return key.low & ~kAddressMask; }
  static uint64_t word_of(T* value, const base::Hash128& key) {
    const auto address = reinterpret_cast<uint64_t>(value);
    EGPTC_CHECK((address & ~kAddressMask) == 0);
    return address | tag_of(key);
  }
  static T* object(uint64_t word) { return reinterpret_cast<T*>(word & kAddressMask); }
  static bool is_of(uint64_t word, const base::Hash128& key) {
    return word != kTombstone && (word & ~kAddressMask) == tag_of(key) &&
           std::invoke(kKeyOf, std::as_const(*object(word))) == key;
  }

  Shard& shard_of(const base::Hash128& key) { return shards_[key.high % kShards]; }
  const Shard& shard_of(const base::Hash128& key) const { return shards_[key.high % kShards]; }

  static std::atomic<uint64_t>* slot_of(Shard& shard, const base::Hash128& key) {
    Table* table = shard.table.load(std::memory_order_relaxed);
    if (table == nullptr) return nullptr;
    for (size_t i = key.low & table->mask;; i = (i + 1) & table->mask) {
      const uint64_t word = table->slots[i].load(std::memory_order_relaxed);
      if (word == kFree) return nullptr;
      if (is_of(word, key)) return &table->slots[i];
    }
  }

  /// Where a key that is not there may go: a place that was given up, or the end of its probe.
  static std::atomic<uint64_t>* free_slot(Table& table, const base::Hash128& key) {
    size_t i = key.low & table.mask;
    while (table.slots[i].load(std::memory_order_relaxed) > kTombstone) i = (i + 1) & table.mask;
    return &table.slots[i];
  }

  /// At most seven tenths of the slots are used, so that every probe ends soon.
  std::unique_ptr<Table> make_room(Shard& shard) {
    const Table* table = shard.table.load(std::memory_order_relaxed);
    if (table != nullptr && (shard.used + 1) * 10 <= (table->mask + 1) * 7) return nullptr;
    return rebuild(shard, shard.live + 1);
  }

  /// Publishes a copy with room for `entries`, without tombstones; returns the old table.
  std::unique_ptr<Table> rebuild(Shard& shard, size_t entries) {
    // First of all, because it may throw.
    Table* fresh = nullptr;
    if (entries > 0) fresh = new Table(std::bit_ceil(std::max(kCapacityMin, entries * 2)));
    std::unique_ptr<Table> old(shard.table.load(std::memory_order_relaxed));
    for (size_t i = 0; old != nullptr && fresh != nullptr && i <= old->mask; ++i) {
      const uint64_t word = old->slots[i].load(std::memory_order_relaxed);
      if (word <= kTombstone) continue;
      free_slot(*fresh, std::invoke(kKeyOf, std::as_const(*object(word))))
          ->store(word, std::memory_order_relaxed);
    }
    shard.used = shard.live;
    if (fresh != nullptr) bytes_.fetch_add(fresh->bytes(), std::memory_order_relaxed);
    if (old != nullptr) bytes_.fetch_sub(old->bytes(), std::memory_order_relaxed);
    shard.table.store(fresh, std::memory_order_release);
    return old;
  }

  static void retire(std::unique_ptr<Table> table) {
    if (table == nullptr) return;
    const size_t bytes = table->bytes();
    base::epoch_retire(std::move(table), bytes);
  }

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> bytes_{0};
};

}  // namespace enhanced_gptcache::cache
