#pragma once
// A hash table from 128-bit keys to objects it does not own, read without locks: open addressing in
// shards, one writer at a time per shard, the table of a shard replaced as a whole when it grows or
// shrinks and handed to the epoch (base/epoch.h). A key is replaced by one atomic store, so that there
// is no moment in which neither the old nor the new object is found.

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "base/epoch.h"
#include "base/keyed_hash.h"

namespace enhanced_gptcache::base {

/// Thread rule: any thread. find() waits for nobody. Keys are uniform already (keyed hashes, random ids).
template <typename T>
class PointerMap {
 public:
  PointerMap() = default;
  ~PointerMap() {
    for (Shard& shard : shards_) delete shard.table.load(std::memory_order_acquire);
  }
  PointerMap(const PointerMap&) = delete;
  PointerMap& operator=(const PointerMap&) = delete;

  /// Null when absent. The caller is pinned (EpochGuard) for as long as it uses the pointer.
  T* find(const Hash128& key) const {
    const Table* table = shard_of(key).table.load(std::memory_order_acquire);
    if (table == nullptr) return nullptr;
    for (size_t i = key.low & table->mask;; i = (i + 1) & table->mask) {
      T* value = table->slots[i].value.load(std::memory_order_acquire);
      if (value == nullptr) return nullptr;
      // The key of a slot is written once, before its first value, so it is stable here.
      if (table->slots[i].key == key) return value == tombstone() ? nullptr : value;
    }
  }

  /// Maps `key` to `value`; what it was mapped to before, or null.
  T* exchange(const Hash128& key, T* value) {
    Shard& shard = shard_of(key);
    std::unique_ptr<Table> old_table;
    T* old = nullptr;
    {
      const std::lock_guard lock(shard.mutex);
      Slot* slot = slot_of(shard, key);
      if (slot == nullptr) {
        old_table = make_room(shard);
        slot = free_slot(*shard.table.load(std::memory_order_relaxed), key);
        ++shard.used;
      }
      old = slot->value.load(std::memory_order_relaxed);
      if (old == tombstone()) old = nullptr;
      if (old == nullptr) ++shard.live;
      slot->value.store(value, std::memory_order_release);
    }
    retire(std::move(old_table));
    return old;
  }

  /// Unmaps `key` if it is mapped to `expected`.
  bool erase(const Hash128& key, const T* expected) {
    Shard& shard = shard_of(key);
    std::unique_ptr<Table> old_table;
    {
      const std::lock_guard lock(shard.mutex);
      Slot* slot = slot_of(shard, key);
      if (slot == nullptr || slot->value.load(std::memory_order_relaxed) != expected) return false;
      slot->value.store(tombstone(), std::memory_order_release);
      --shard.live;
      const size_t capacity = shard.table.load(std::memory_order_relaxed)->mask + 1;
      if (shard.live == 0 || (capacity > kCapacityMin && shard.live < capacity / 8)) {
        old_table = rebuild(shard, shard.live);
      }
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

  struct Slot {
    Hash128 key;
    std::atomic<T*> value{nullptr};
  };
  struct Table {
    explicit Table(size_t capacity) : mask(capacity - 1), slots(new Slot[capacity]) {}
    size_t bytes() const { return sizeof(Table) + (mask + 1) * sizeof(Slot); }
    const size_t mask;
    const std::unique_ptr<Slot[]> slots;
  };
  struct alignas(64) Shard {
    std::atomic<Table*> table{nullptr};
    mutable std::mutex mutex;
    size_t used = 0;  // guarded by mutex: slots with a key, tombstones included
    size_t live = 0;  // guarded by mutex
  };

  // Never dereferenced: marks a slot whose key was removed.
  static T* tombstone() { return reinterpret_cast<T*>(uintptr_t{1}); }

  Shard& shard_of(const Hash128& key) { return shards_[key.high % kShards]; }
  const Shard& shard_of(const Hash128& key) const { return shards_[key.high % kShards]; }

  static Slot* slot_of(Shard& shard, const Hash128& key) {
    Table* table = shard.table.load(std::memory_order_relaxed);
    if (table == nullptr) return nullptr;
    for (size_t i = key.low & table->mask;; i = (i + 1) & table->mask) {
      Slot& slot = table->slots[i];
      if (slot.value.load(std::memory_order_relaxed) == nullptr) return nullptr;
      if (slot.key == key) return &slot;
    }
  }

  static Slot* free_slot(Table& table, const Hash128& key) {
    size_t i = key.low & table.mask;
    while (table.slots[i].value.load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table.mask;
    table.slots[i].key = key;
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
    std::unique_ptr<Table> old(shard.table.load(std::memory_order_relaxed));
    Table* fresh = nullptr;
    if (entries > 0) fresh = new Table(std::bit_ceil(std::max(kCapacityMin, entries * 2)));
    for (size_t i = 0; old != nullptr && fresh != nullptr && i <= old->mask; ++i) {
      T* value = old->slots[i].value.load(std::memory_order_relaxed);
      if (value == nullptr || value == tombstone()) continue;
      free_slot(*fresh, old->slots[i].key)->value.store(value, std::memory_order_relaxed);
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
    epoch_retire(std::move(table), bytes);
  }

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> bytes_{0};
};

}  // namespace enhanced_gptcache::base
