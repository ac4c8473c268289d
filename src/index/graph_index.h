#pragma once
// Approximate search in a large partition: a navigable graph of neighbours over int8 vectors. A walk goes by
// the signs of the vectors (one bit an element, one cache line a row), unbiased estimates of the similarity
// as in RaBitQ (Gao and Long, 2024); the nearest by estimate are then compared in full. Best-first walk and
// the choice of diverse links are those of HNSW (Malkov and Yashunin, 2018, algorithms 2 and 4); there are no
// upper layers, which bring nothing in many dimensions (Munyampirwa et al., 2024): a walk starts at the best
// of a sample of rows. A removed row is unlinked, its neighbours are joined to each other and its place is
// used again.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "index/graph_rows.h"
#include "index/graph_walk.h"
#include "index/neighbour.h"
#include "index/prepared_query.h"
#include "index/row_table.h"

namespace enhanced_gptcache::index {

/// Thread rule: that of VectorIndex; search() and size() by pinned threads.
class GraphIndex {
 public:
  explicit GraphIndex(size_t dimensions);
  GraphIndex(const GraphIndex&) = delete;
  GraphIndex& operator=(const GraphIndex&) = delete;

  /// About 0.2 ms. False when it is full (33 million rows).
  bool add(uint64_t label, std::span<const float> vector);
  /// False when there is no such label.
  bool remove(uint64_t label);
  /// Offers the nearest rows; now and then it misses one (recall: bench/index_bench).
  void search(const PreparedQuery& query, size_t k, float similarity_min, Best& best) const;

  /// The writer's: a row, as it was given but for rounding; false when there is none.
  bool first(uint64_t& label, std::vector<float>& vector);
  /// The writer's, as the next: the row of this label, as it was given but for rounding.
  bool vector_of(uint64_t label, std::vector<float>& vector) const;
  void for_each(const VisitRow& visit) const;
  /// The writer's.
  bool contains(uint64_t label) const { return label != kDeadLabel && table_.find(label) != kNoRow; }
  /// Three of four places and more are empty.
  bool is_sparse() const { return size() * 4 < rows_.used(); }

  // Over a restart (graph_restore.cpp).
  /// Unlike that of every other graph of this process, and never 0.
  uint64_t number() const { return number_; }
  /// Additions and removals so far.
  uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }
  /// Appends rows [from, from + count_max), as far as there are so many. What is written to meanwhile may
  /// come out mixed: links are where a walk may go, never what it may answer.
  void copy_rows(uint32_t from, uint32_t count_max, std::vector<LinkedRow>& rows) const;
  /// The vector a label stands for; false: there is none any more. By several threads at once.
  using VectorOf = std::function<bool(uint64_t label, std::vector<float>& vector)>;
  /// Appends rows to a graph that nobody else can see yet; then finish_restore().
  void restore(std::span<const LinkedRow> rows, const VectorOf& vector_of, size_t threads);
  /// Joins the neighbours of rows that have no vector any more, as remove() does.
  void finish_restore();

  size_t size() const { return size_.load(std::memory_order_relaxed); }
  size_t bytes() const { return rows_.bytes() + bytes_.load(std::memory_order_relaxed); }

 private:
  struct DeadRow {
    uint32_t row;
    uint64_t stamp;
  };
  struct Walk;

  float similarity(const PreparedQuery& query, uint32_t row) const;
  /// Of two rows.
  float similarity(uint32_t a, uint32_t b) const;
  /// From the row's signs if it has any: what a walk goes by.
  float estimate(const PreparedQuery& query, uint32_t row) const;
  /// Of a walk for the nearest, by how many rows there are.
  size_t search_breadth() const;
  /// The `breadth` nearest that a walk finds; of the first `refined` the exact similarity, and these best
  /// first.
  std::span<const ScoredRow> walk(const PreparedQuery& query, size_t breadth, size_t refined) const;
  void start(const PreparedQuery& query, Walk& walk) const;
  void expand(const PreparedQuery& query, uint32_t row, Walk& walk) const;

  uint32_t take_row();
  /// Alive rows `row` is linked to.
  std::vector<uint32_t> links_of(uint32_t row) const;
  bool leads_to(uint32_t from, uint32_t to) const;
  /// Of candidates sorted best first, those to link to: none hides behind a nearer one; then the nearest of
  /// the rest.
  std::vector<uint32_t> choose(std::span<const ScoredRow> candidates, size_t wanted) const;
  /// Chooses the links of `row` anew among these.
  void relink(uint32_t row, std::span<const uint32_t> candidates, size_t wanted);
  void link_back(uint32_t from, uint32_t to);
  void read_row(uint32_t row, std::vector<float>& vector) const;
  /// The row is dead: its neighbours are joined to each other.
  void unlink(uint32_t row);
  void restore_row(uint32_t row, const LinkedRow& from, const VectorOf& vector_of);
  void drop_links_from(uint32_t row, uint32_t end);
  void account();

  const size_t dimensions_;
  const uint64_t number_;
  GraphRows rows_;
  std::atomic<size_t> size_{0};
  std::atomic<uint64_t> changes_{0};
  std::atomic<size_t> bytes_{0};  // of what follows
  // The writer's own.
  RowTable table_;
  std::vector<DeadRow> dead_;  // dead_[dead_first_..] wait for their readers, oldest first
  size_t dead_first_ = 0;
  uint32_t first_ = 0;  // where first() goes on; rows before it are dead, as long as none is added
};

}  // namespace enhanced_gptcache::index
