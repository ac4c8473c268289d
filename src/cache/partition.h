#pragma once
// The semantic layer's hard walls: entries of one tenant, namespace, model, system prompt and answer
// form, with one nearest-neighbour index. A partition exists while it has entries, costs nothing
// fixed, and the least recently used ones go when there are too many.

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/pointer_map.h"
#include "cache/graph_file.h"
#include "cache/record.h"
#include "index/vector_index.h"

namespace enhanced_gptcache::cache {

/// Thread rule: search() from any pinned thread, waits for nobody; the rest from any thread.
class Partition : public std::enable_shared_from_this<Partition> {
 public:
  /// `bytes_total` is shared because a retired partition may outlive its map.
  using ByteCount = std::atomic<size_t>;
  /// `graph_from`: as index::VectorIndex.
  Partition(const base::Hash128& key, size_t dimensions, size_t graph_from,
            std::shared_ptr<ByteCount> bytes_total);
  ~Partition();
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  /// False when the partition was given up meanwhile: get another one from the map.
  bool add(Record& record, std::span<const float> vector);
  /// Cost in proportion to `records`, or, for many of a large partition, to what stays.
  void remove(std::span<Record* const> records);
  /// Similarity with every neighbour as a label that is a Record*, valid while the caller is pinned.
  std::vector<index::Neighbour> search(std::span<const float> query, size_t k, float similarity_min) const;

  // At start, before anybody else sees the cache: all members are counted, then come a graph that was saved
  // and the rest.
  static uint64_t label_of(const Record& record) { return reinterpret_cast<uint64_t>(&record); }
  void count_member();
  /// Of a label. By several threads at once.
  using VectorOf = index::GraphIndex::VectorOf;
  /// Rows of a graph; the labels are members.
  void restore(std::span<const index::LinkedRow> rows, const VectorOf& vector_of, size_t threads);
  /// How many members are in it.
  size_t finish_restore();
  void abandon_restore();
  /// A member that is in no graph is found by looking at each, until settle() has moved it.
  void add_rest(const Record& record, const VectorOf& vector_of);

  /// Moves up to `count_max` entries into the graph; false: all that belong there are in it.
  bool settle(size_t count_max);
  /// Entries that settle() has yet to move.
  size_t unsettled() const;
  /// Names its graph; 0: there is none.
  uint64_t graph() const;
  uint64_t graph_changes() const;
  /// Appends rows of that graph; false: it is no more.
  bool copy_graph(uint64_t graph, uint32_t from, uint32_t count_max, std::vector<GraphFileRow>& rows) const;

  size_t size() const { return size_.load(std::memory_order_relaxed); }
  const base::Hash128& key() const { return key_; }
  std::vector<RecordPtr> members() const;
  /// The vector of a member, as it was added but for rounding; empty: it is none.
  std::vector<float> vector_of(const Record& record) const;
  /// Empty and closed for good: no add() will succeed any more.
  bool close_if_empty();

  std::atomic<int64_t> used_us{0};
  uint32_t place_in_recency = kNotInHeap;  ///< PartitionMap
  std::shared_ptr<Partition> owner;        ///< PartitionMap's reference

 private:
  void rebuild(std::span<Record* const> without);
  void account();

  const base::Hash128 key_;
  const size_t dimensions_;
  const size_t graph_from_;
  const std::shared_ptr<ByteCount> bytes_total_;
  std::atomic<index::VectorIndex*> index_;  // replaced under mutex_, read when pinned
  std::atomic<size_t> size_{0};             // written under mutex_
  mutable std::mutex mutex_;
  size_t bytes_counted_ = 0;  // guarded by mutex_
  bool is_closed_ = false;    // guarded by mutex_
};

/// Thread rule: any thread. find() waits for nobody.
class PartitionMap {
 public:
  PartitionMap(size_t dimensions, size_t graph_from) : dimensions_(dimensions), graph_from_(graph_from) {}
  ~PartitionMap();

  /// Null when there is none. The caller is pinned for as long as it uses the pointer.
  Partition* find(const base::Hash128& key) const { return map_.find(key); }
  std::shared_ptr<Partition> get(const base::Hash128& key) const;
  std::shared_ptr<Partition> get_or_create(const base::Hash128& key, int64_t now_us);
  /// Gives an empty partition back.
  void release_if_empty(Partition& partition);
  /// The least recently used while there are more than `count_max`, else null.
  std::shared_ptr<Partition> victim(size_t count_max);
  /// Those with at least so many entries.
  std::vector<std::shared_ptr<Partition>> larger_than(size_t entries) const;

  size_t size() const { return size_.load(std::memory_order_relaxed); }
  size_t bytes() const { return map_.bytes() + index_bytes_->load(std::memory_order_relaxed); }

 private:
  const size_t dimensions_;
  const size_t graph_from_;
  base::PointerMap<Partition> map_;
  std::atomic<size_t> size_{0};
  const std::shared_ptr<Partition::ByteCount> index_bytes_ = std::make_shared<Partition::ByteCount>(0);
  mutable std::mutex mutex_;
  IndexedHeap<Partition, &Partition::place_in_recency> recency_;  // guarded by mutex_
};

}  // namespace enhanced_gptcache::cache
