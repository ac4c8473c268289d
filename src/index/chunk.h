#pragma once
// Storage of a VectorIndex: a chain of chunks, each one allocation of rows that never move. One
// writer appends, kills and revives rows; readers walk the chain pinned (base/epoch.h).

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "index/dot.h"

namespace enhanced_gptcache::index {

/// Marks a row that holds nothing. No caller's label may have this value.
inline constexpr uint64_t kDeadLabel = ~uint64_t{0};

/// Thread rule: rows below used() may be read by any pinned thread; the rest by the one writer only.
class Chunk {
 public:
  struct Free {
    void operator()(Chunk* chunk) const;
  };
  using Ptr = std::unique_ptr<Chunk, Free>;

  /// `row_bytes` is the padded length of a row in one plane.
  static Ptr create(size_t capacity, size_t row_bytes);

  size_t capacity() const { return capacity_; }
  size_t bytes() const { return bytes_; }
  size_t row_bytes() const { return row_bytes_; }
  size_t used() const { return used_.load(std::memory_order_acquire); }
  Chunk* next() const { return next_.load(std::memory_order_acquire); }

  /// kDeadLabel, or the label of a row whose bytes are then safe to read.
  uint64_t label(size_t row) const { return labels_[row].load(std::memory_order_acquire); }
  /// Similarity of one unit of the scan's integer sum, before the query's own scale.
  float scale(size_t row) const { return scales_[row]; }
  /// Euclidean length of what the high plane leaves out: bounds the error of a scan.
  float residual(size_t row) const { return residuals_[row]; }
  const int8_t* high(size_t row) const { return high_ + row * row_bytes_; }
  const int8_t* low(size_t row) const { return low_ + row * row_bytes_; }
  /// Length of a row's signs for DotKernels::sweep_signs; 0: rows have none.
  size_t sign_length() const { return sign_length_; }
  const uint8_t* signs(size_t row) const { return signs_ + row * (sign_length_ / 8); }
  /// With it a dot product with the signs, as 1 and -1, estimates one with the vector without bias.
  float sign_scale(size_t row) const { return sign_scales_[row]; }

  // The writer's side.
  /// Fills a row that no reader can see (new, or dead and passed) and publishes it under `label`.
  void publish(size_t row, uint64_t label, std::span<const float> vector);
  /// The same from a row of another chunk with equal row_bytes.
  void publish_copy(size_t row, const Chunk& from, size_t from_row);
  void kill(size_t row) { labels_[row].store(kDeadLabel, std::memory_order_release); }
  void set_used(size_t rows) { used_.store(rows, std::memory_order_release); }
  void set_next(Chunk* next) { next_.store(next, std::memory_order_release); }

 private:
  Chunk() = default;
  void set_signs(size_t row, std::span<const float> vector);

  std::atomic<Chunk*> next_{nullptr};
  std::atomic<size_t> used_{0};
  size_t capacity_ = 0;
  size_t row_bytes_ = 0;
  size_t sign_length_ = 0;
  size_t bytes_ = 0;
  // All inside the chunk's own allocation.
  std::atomic<uint64_t>* labels_ = nullptr;
  float* scales_ = nullptr;
  float* residuals_ = nullptr;
  float* sign_scales_ = nullptr;
  uint8_t* signs_ = nullptr;
  int8_t* high_ = nullptr;
  int8_t* low_ = nullptr;
};

/// Elements of a row in memory: `dimensions` rounded up to kDotPad.
inline size_t padded_length(size_t dimensions) { return (dimensions + kDotPad - 1) / kDotPad * kDotPad; }

}  // namespace enhanced_gptcache::index
