#pragma once
// Storage of a GraphIndex: rows by number, in segments that never move. One byte an element; links to other
// rows beside the vector.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "index/chunk.h"

namespace enhanced_gptcache::index {

/// Links of one row, at most; the end of a shorter list holds kNoRow.
inline constexpr size_t kLinksMax = 32;
inline constexpr uint32_t kNoRow = ~uint32_t{0};

/// Thread rule: rows below used() may be read by any pinned thread, the bytes only of rows that are alive;
/// writing is the one writer's.
class GraphRows {
 public:
  explicit GraphRows(size_t dimensions) : row_bytes_(padded_length(dimensions)) {}
  ~GraphRows();
  GraphRows(const GraphRows&) = delete;
  GraphRows& operator=(const GraphRows&) = delete;

  size_t row_bytes() const { return row_bytes_; }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint32_t used() const { return used_.load(std::memory_order_acquire); }
  bool is_full() const { return used_.load(std::memory_order_relaxed) == kSegments * kSegmentRows; }

  /// kDeadLabel, or the label of a row whose bytes are then safe to read.
  uint64_t label(uint32_t row) const { return segment(row).labels[at(row)].load(std::memory_order_acquire); }
  bool is_alive(uint32_t row) const { return label(row) != kDeadLabel; }
  const int8_t* vector(uint32_t row) const { return segment(row).vectors + at(row) * row_bytes_; }
  /// Value of one step of the vector's bytes.
  float scale(uint32_t row) const { return segment(row).scales[at(row)]; }
  uint32_t link(uint32_t row, size_t i) const {
    return segment(row).links[at(row) * kLinksMax + i].load(std::memory_order_relaxed);
  }
  void prefetch_links(uint32_t row) const {
    __builtin_prefetch(segment(row).links + at(row) * kLinksMax);
    __builtin_prefetch(segment(row).links + at(row) * kLinksMax + 16);
  }
  void prefetch(uint32_t row) const {
    const int8_t* first = vector(row);
    for (size_t i = 0; i < row_bytes_; i += 64) __builtin_prefetch(first + i);
    __builtin_prefetch(segment(row).labels + at(row));
    __builtin_prefetch(segment(row).scales + at(row));
  }

  // The writer's side.
  /// A new dead row at the end; not when is_full().
  uint32_t append();
  /// Fills a row that no reader can see; it stays dead.
  void fill(uint32_t row, std::span<const float> vector);
  void set_links(uint32_t row, std::span<const uint32_t> links);
  /// Makes it visible under `label`.
  void publish(uint32_t row, uint64_t label) {
    segment(row).labels[at(row)].store(label, std::memory_order_release);
  }
  void kill(uint32_t row) { publish(row, kDeadLabel); }

 private:
  static constexpr size_t kSegmentRows = 4096;
  static constexpr size_t kSegments = 8192;

  struct Segment {
    struct Free {
      void operator()(std::byte* memory) const;
    };
    std::unique_ptr<std::byte, Free> memory;
    std::atomic<uint64_t>* labels = nullptr;
    float* scales = nullptr;
    std::atomic<uint32_t>* links = nullptr;
    int8_t* vectors = nullptr;
  };

  static size_t at(uint32_t row) { return row % kSegmentRows; }
  const Segment& segment(uint32_t row) const {
    return *segments_[row / kSegmentRows].load(std::memory_order_acquire);
  }
  void add_segment(size_t index);

  const size_t row_bytes_;
  std::array<std::atomic<Segment*>, kSegments> segments_{};
  std::atomic<uint32_t> used_{0};
  std::atomic<size_t> bytes_{sizeof(GraphRows)};
};

}  // namespace enhanced_gptcache::index
