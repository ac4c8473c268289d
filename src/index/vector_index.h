#pragma once
// Nearest neighbours of one partition by cosine over unit vectors: exact while the partition is small, a
// graph (graph_index.h) when it is large.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/graph_index.h"
#include "index/neighbour.h"

namespace enhanced_gptcache::index {

/// Rows from which on a partition gets a graph: below, looking at every row is as fast.
inline constexpr size_t kGraphFrom = 16'384;

/// Thread rule: search() from any thread, never waits for add() or remove(); add() and remove() are
/// serialised by the caller (one writer at a time). A vector is visible to searches that start after add()
/// returned.
class VectorIndex {
 public:
  /// `graph_from` as kGraphFrom.
  explicit VectorIndex(size_t dimensions, size_t graph_from = kGraphFrom);
  ~VectorIndex();
  VectorIndex(const VectorIndex&) = delete;
  VectorIndex& operator=(const VectorIndex&) = delete;

  /// `vector` has dimensions() floats of length 1; `label` is not in the index yet and not 2^64 - 1. A vector
  /// that is not finite is kept, but never found.
  void add(uint64_t label, std::span<const float> vector);
  /// False when there is no such label. The space is reused.
  bool remove(uint64_t label);
  /// The k nearest with similarity >= similarity_min, best first; equally near ones by label.
  std::vector<Neighbour> search(std::span<const float> query, size_t k, float similarity_min) const;

  // A large index over a restart. What is in the graph comes back with its links; what is not waits in the
  // exact tier, where every search finds it, until settle() has moved it.
  /// Names the graph, unlike any other of this process; 0: there is none. By any thread, as the next two.
  uint64_t graph() const;
  /// Additions to the graph and removals from it so far.
  uint64_t graph_changes() const;
  /// As GraphIndex::copy_rows, by a pinned thread; false: `graph` is no more.
  bool copy_graph(uint64_t graph, uint32_t from, uint32_t count_max, std::vector<LinkedRow>& rows) const;
  /// As GraphIndex::restore; before anything was added.
  void restore(std::span<const LinkedRow> rows, const GraphIndex::VectorOf& vector_of, size_t threads);
  void finish_restore();
  /// Forgets what restore() has been given.
  void abandon_restore();
  /// The writer's, as the next four.
  bool is_in_graph(uint64_t label) const;
  /// The writer's, as the next: a vector as it was given but for rounding (int8 in a graph, else 16 bits);
  /// false: there is no such label. Without a graph it looks at every label.
  bool vector_of(uint64_t label, std::vector<float>& vector) const;
  void for_each(const VisitRow& visit) const;
  /// add() to the exact tier, whatever its size: about a microsecond.
  void add_unsettled(uint64_t label, std::span<const float> vector);
  /// Moves up to `count_max` rows to where they belong; false: all of them are there, or the graph is full.
  bool settle(size_t count_max);
  /// Rows that settle() has yet to move, any thread.
  size_t unsettled() const;

  size_t dimensions() const;
  size_t size() const;
  /// Resident bytes of vectors and bookkeeping.
  size_t bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache::index
