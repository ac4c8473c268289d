#pragma once
// Nearest neighbours of one partition by cosine over unit vectors: exact while the partition is small, a
// graph (graph_index.h) when it is large.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "index/neighbour.h"

namespace enhanced_gptcache::index {

/// Rows from which on a partition gets a graph: below, looking at every row is as fast.
inline constexpr size_t kGraphFrom = 16'384;

/// Thread rule: search() from any thread, never waits for add() or remove(); add() and remove() are
/// serialised by the caller (one writer at a time). A vector is visible to searches that start after add()
/// returned.
class VectorIndex {
 public:
  /// `graph_from` as kGraphFrom; other values are for tests and benchmarks.
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

  size_t dimensions() const;
  size_t size() const;
  /// Resident bytes of vectors and bookkeeping.
  size_t bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache::index
