#pragma once
// A query as the scans want it, and the list of the best found so far: shared by exact search and graph.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/neighbour.h"

namespace enhanced_gptcache::index {

/// A query in both precisions. Padded like the rows.
struct PreparedQuery {
  std::vector<float> exact;
  std::vector<int16_t> coarse;
  float coarse_scale = 0;  ///< exact ~ coarse * coarse_scale
  float length = 0;        ///< Euclidean length of the query itself
  /// In bytes, for sweeps and for the signs of rows: exact ~ fine * fine_scale; padded to kSignPad.
  std::vector<int8_t> fine;
  float fine_scale = 0;
  float fine_error = 0;  ///< Euclidean length of exact - fine * fine_scale
  int32_t fine_sum = 0;
};

/// One that is not finite or is all zeros gets length 0.
PreparedQuery prepare(std::span<const float> query);

/// The order of results: nearest first, equally near ones by label.
inline bool is_better(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.label < b.label;
}

/// The k best so far, as a heap whose front is the worst of them.
class Best {
 public:
  Best(size_t k, float similarity_min) : k_(k), floor_(similarity_min) {}

  size_t k() const { return k_; }
  /// Nothing below can enter.
  float floor() const { return floor_; }
  void offer(Neighbour neighbour, float similarity_min) {
    if (neighbour.similarity < similarity_min) return;
    if (heap_.size() == k_) {
      if (!is_better(neighbour, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), is_better);
      heap_.back() = neighbour;
    } else {
      heap_.push_back(neighbour);
    }
    std::push_heap(heap_.begin(), heap_.end(), is_better);
    if (heap_.size() == k_) floor_ = std::max(floor_, heap_.front().similarity);
  }
  std::vector<Neighbour> sorted() && {
    std::sort_heap(heap_.begin(), heap_.end(), is_better);
    return std::move(heap_);
  }

 private:
  size_t k_;
  float floor_;
  std::vector<Neighbour> heap_;
};

}  // namespace enhanced_gptcache::index
