#pragma once
// Every row is looked at: its vector while there are few, and from kSignsFromRows on the signs of all and the
// vectors of the nearest by them. The tier of small partitions, and of the rows that have not yet moved into
// the graph of a large one.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/chunk.h"
#include "index/neighbour.h"
#include "index/prepared_query.h"

namespace enhanced_gptcache::index {

/// Rows from which on signs are read first: below, reading every vector takes less than 50 us.
inline constexpr size_t kSignsFromRows = 2048;

/// Thread rule: that of VectorIndex; search() and size() by pinned threads.
class FlatIndex {
 public:
  explicit FlatIndex(size_t dimensions);
  ~FlatIndex();
  FlatIndex(const FlatIndex&) = delete;
  FlatIndex& operator=(const FlatIndex&) = delete;

  void add(uint64_t label, std::span<const float> vector);
  /// False when there is no such label.
  bool remove(uint64_t label);
  /// Offers every row that can enter; with signs read first, every one whose estimate is among the highest.
  void search(const PreparedQuery& query, float similarity_min, Best& best) const;
  /// The writer's: the first row, as it was given but for rounding; false when there is none.
  bool first(uint64_t& label, std::vector<float>& vector) const;
  /// The writer's, as the next: the row of this label, as it was given but for rounding.
  bool vector_of(uint64_t label, std::vector<float>& vector) const;
  void for_each(const VisitRow& visit) const;

  size_t size() const { return size_.load(std::memory_order_relaxed); }
  /// Resident bytes behind this object.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  /// A row that was removed. Usable again once the readers of its time are gone.
  struct DeadRow {
    Chunk* chunk;
    size_t row;
    uint64_t stamp;
  };

  static void free_chain(Chunk* chunk);
  bool reuse_dead_row(uint64_t label, std::span<const float> vector);
  Chunk* grow(size_t rows_there);
  bool find_near(uint64_t label, Chunk*& chunk, size_t& row) const;
  bool find(uint64_t label, Chunk*& chunk, size_t& row) const;
  void read_row(const Chunk& chunk, size_t row, std::vector<float>& vector) const;
  void rewrite();
  bool is_first_spent(const Chunk* chunk, size_t row) const;
  void drop_first();
  void account() {
    bytes_.store(chunk_bytes_ + dead_.capacity() * sizeof(DeadRow), std::memory_order_relaxed);
  }

  const size_t dimensions_;
  std::atomic<Chunk*> head_{nullptr};  // first of the chain
  std::atomic<size_t> size_{0};
  std::atomic<size_t> bytes_{0};  // of chunks and dead_
  // The writer's own.
  Chunk* tail_ = nullptr;
  size_t places_ = 0;  // rows of all chunks
  size_t chunk_bytes_ = 0;
  std::vector<DeadRow> dead_;
  size_t dead_first_ = 0;              // dead_[dead_first_..] are waiting, oldest first
  mutable Chunk* found_in_ = nullptr;  // where find() found the last one: who goes through all asks for the
  mutable size_t found_at_ = 0;        // one before or behind it next. Null when its chunk may be gone.
};

}  // namespace enhanced_gptcache::index
