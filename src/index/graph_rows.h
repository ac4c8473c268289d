#pragma once
// Storage of a GraphIndex: rows by number, in segments that never move. A row is a head (label, scales, the
// signs of the vector: one cache line at 384 dimensions, all that a walk reads of it), links to other rows,
// and the vector, one byte an element.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "index/chunk.h"

namespace enhanced_gptcache::index {

/// Links of one row, at most; the end of a shorter list holds kNoRow.
inline constexpr size_t kLinksMax = 24;
inline constexpr uint32_t kNoRow = ~uint32_t{0};
/// Most rows: a row number has 25 bits.
inline constexpr uint32_t kRowsMax = uint32_t{1} << 25U;

/// A row as a snapshot has it: all but the vector.
struct LinkedRow {
  uint64_t label = kDeadLabel;
  std::array<uint32_t, kLinksMax> links;  ///< the end of a shorter list holds kNoRow
};

/// Thread rule: rows below used() may be read by any pinned thread, the bytes only of rows that are alive;
/// writing is the one writer's.
class GraphRows {
 public:
  explicit GraphRows(size_t dimensions);
  ~GraphRows();
  GraphRows(const GraphRows&) = delete;
  GraphRows& operator=(const GraphRows&) = delete;

  size_t row_bytes() const { return row_bytes_; }
  /// Length of a row's signs for DotKernels::signs; 0: rows have none.
  size_t sign_length() const { return sign_length_; }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  uint32_t used() const { return used_.load(std::memory_order_acquire); }
  bool is_full() const { return used_.load(std::memory_order_relaxed) == kRowsMax; }

  /// kDeadLabel, or the label of a row whose bytes are then safe to read.
  uint64_t label(uint32_t row) const { return head(row).label.load(std::memory_order_acquire); }
  bool is_alive(uint32_t row) const { return label(row) != kDeadLabel; }
  const int8_t* vector(uint32_t row) const {
    return reinterpret_cast<const int8_t*>(segment(row) + vectors_at_ + at(row) * row_bytes_);
  }
  /// Value of one step of the vector's bytes.
  float scale(uint32_t row) const { return head(row).scale; }
  const uint8_t* signs(uint32_t row) const {
    return reinterpret_cast<const uint8_t*>(&head(row)) + sizeof(Head);
  }
  /// With it a dot product with the signs, as 1 and -1, estimates one with the vector without bias.
  float sign_scale(uint32_t row) const { return head(row).sign_scale; }
  /// Acquires what set_links() releases: who sees a link also sees the segment that the linked row lies in,
  /// which may be younger than the one the link was read from. On x86 this is a plain load.
  uint32_t link(uint32_t row, size_t i) const { return links(row)[i].load(std::memory_order_acquire); }
  /// What a walk reads of a row that it comes by.
  void prefetch(uint32_t row) const {
    if (sign_length_ == 0) prefetch_vector(row);
    const auto* first = reinterpret_cast<const std::byte*>(&head(row));
    for (size_t i = 0; i < head_bytes_; i += kLine) __builtin_prefetch(first + i);
  }
  void prefetch_vector(uint32_t row) const {
    const int8_t* first = vector(row);
    for (size_t i = 0; i < row_bytes_; i += kLine) __builtin_prefetch(first + i);
  }
  void prefetch_links(uint32_t row) const {
    const std::atomic<uint32_t>* first = links(row);
    __builtin_prefetch(first);
    __builtin_prefetch(first + kLinksMax - 1);
  }

  // The writer's side.
  /// A new dead row at the end; not when is_full().
  uint32_t append();
  /// Fills a row that no reader can see; it stays dead.
  void fill(uint32_t row, std::span<const float> vector);
  void set_links(uint32_t row, std::span<const uint32_t> links);
  /// Makes it visible under `label`.
  void publish(uint32_t row, uint64_t label) { head(row).label.store(label, std::memory_order_release); }
  void kill(uint32_t row) { publish(row, kDeadLabel); }

 private:
  static constexpr size_t kLine = 64;
  static constexpr size_t kSegmentRows = 4096;
  static constexpr size_t kSegments = kRowsMax / kSegmentRows;

  struct Head {
    std::atomic<uint64_t> label;
    float scale;
    float sign_scale;
    // The signs follow.
  };

  static size_t at(uint32_t row) { return row % kSegmentRows; }
  std::byte* segment(uint32_t row) const {
    return segments_[row / kSegmentRows].load(std::memory_order_acquire);
  }
  Head& head(uint32_t row) const { return *reinterpret_cast<Head*>(segment(row) + at(row) * head_bytes_); }
  std::atomic<uint32_t>* links(uint32_t row) const {
    return reinterpret_cast<std::atomic<uint32_t>*>(segment(row) + links_at_) + at(row) * kLinksMax;
  }
  void add_segment(size_t index);

  const size_t row_bytes_;
  const size_t sign_length_;
  const size_t head_bytes_;
  const size_t links_at_;    // in a segment, behind the heads
  const size_t vectors_at_;  // behind the links
  std::array<std::atomic<std::byte*>, kSegments> segments_{};
  std::atomic<uint32_t> used_{0};
  std::atomic<size_t> bytes_{sizeof(GraphRows)};
};

}  // namespace enhanced_gptcache::index
