#pragma once
// The entries of each tenant and of each of its namespaces, in order of insertion, so that listing,
// invalidating and flushing cost in proportion to what they touch and never see another tenant; and by
// their last use, so that a tenant over its quota gives up entries of its own and nobody else's.

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/indexed_heap.h"
#include "cache/record.h"

namespace enhanced_gptcache::cache {

/// What one tenant may have; 0 is no limit.
struct Quota {
  size_t entries_max = 0;
  size_t bytes_max = 0;  ///< of its records alone, in memory; what they take on disk is less

  bool is_limited() const { return entries_max != 0 || bytes_max != 0; }
};

/// Thread rule: any thread. Holds no references: a record is removed here before it is retired.
class Scopes {
 public:
  /// True to take this record.
  using Wanted = std::function<bool(const Record&)>;

  void add(Record& record);
  void remove(Record& record);

  /// Newest first, those after `cursor` (a record of this tenant; null: from the start), at most `limit`.
  /// Holds the tenant's lock while `wanted` is asked. Empty when `cursor` left meanwhile.
  std::vector<RecordPtr> newest(std::string_view tenant, std::optional<std::string_view> name_space,
                                const Record* cursor, size_t limit, const Wanted& wanted) const;
  /// The oldest, at most `limit`, of those inserted at or before `sequence_max`.
  std::vector<RecordPtr> oldest(std::string_view tenant, std::optional<std::string_view> name_space,
                                uint64_t sequence_max, size_t limit) const;
  size_t count(std::string_view tenant) const;
  /// The least recently used entry of the tenant while it is over `quota`, else null. It stays: the caller
  /// removes it. Two callers may get the same one, but never one more than has to go.
  RecordPtr victim(std::string_view tenant, const Quota& quota);
  /// Tenants over `quota`.
  std::vector<std::string> over(const Quota& quota) const;
  /// Of the heaps, and an estimate of the maps; the links are inside the records.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename T>
  using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;
  using NamespaceList = IntrusiveList<Record, &Record::in_namespace>;
  using TenantList = IntrusiveList<Record, &Record::in_tenant>;
  struct Tenant {
    TenantList all;
    TextMap<NamespaceList> namespaces;
    IndexedHeap<Record, &Record::place_in_tenant> recency;  // from the first victim() on; empty before
    bool has_recency = false;
    size_t record_bytes = 0;

    void begin_recency();

    bool is_over(const Quota& quota) const {
      return (quota.entries_max != 0 && all.size() > quota.entries_max) ||
             (quota.bytes_max != 0 && record_bytes > quota.bytes_max);
    }
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    TextMap<Tenant> tenants;  // guarded by mutex
  };
  static constexpr size_t kShards = 16;

  Shard& shard_of(std::string_view tenant) { return shards_[TextHash()(tenant) % kShards]; }
  const Shard& shard_of(std::string_view tenant) const { return shards_[TextHash()(tenant) % kShards]; }
  static const Tenant* find(const Shard& shard, std::string_view tenant);
  void count_node(std::string_view name, bool added);
  void count_heap(size_t before, size_t now) { bytes_.fetch_add(now - before, std::memory_order_relaxed); }

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> bytes_{0};
};

}  // namespace enhanced_gptcache::cache
