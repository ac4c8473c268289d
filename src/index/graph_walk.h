#pragma once
// What one best-first walk through a GraphIndex remembers: which rows it came by, and the nearest of them.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "index/graph_rows.h"

namespace enhanced_gptcache::index {

struct ScoredRow {
  float similarity;
  uint32_t row;
};

inline bool is_nearer(const ScoredRow& a, const ScoredRow& b) { return a.similarity > b.similarity; }

/// Set of row numbers of one walk. Thread rule: one thread.
class VisitedRows {
 public:
  /// Rows a walk may come by: bounds its time, whatever the graph looks like.
  static constexpr size_t kMax = 12'000;

  VisitedRows() { slots_.fill(0); }
  /// Slots of earlier walks count as free by their generation, so that few walks pay for clearing all.
  void clear() {
    count_ = 0;
    generation_ += kRowsMax;
    if (generation_ != 0) return;
    slots_.fill(0);
    generation_ = kRowsMax;
  }
  bool is_full() const { return count_ >= kMax; }
  /// False when it was there.
  bool insert(uint32_t row) {
    const uint32_t wanted = generation_ | row;
    size_t slot = row * 0x9E3779B1U >> kShift;
    while ((slots_[slot] & ~(kRowsMax - 1)) == generation_) {
      if (slots_[slot] == wanted) return false;
      slot = (slot + 1) % kSlots;
    }
    slots_[slot] = wanted;
    ++count_;
    return true;
  }

 private:
  static constexpr size_t kSlots = 16'384;
  static constexpr unsigned kShift = 32 - 14;
  static_assert(kMax < kSlots);

  std::array<uint32_t, kSlots> slots_;
  uint32_t generation_ = 0;  // in the bits above a row number; no slot of a walk has 0
  size_t count_ = 0;
};

/// The nearest rows so far, nearest first, at most `breadth`; each is taken once, to look at its links.
/// Thread rule: one thread.
class NearestRows {
 public:
  void start(size_t breadth) {
    breadth_ = breadth;
    next_ = 0;
    rows_.clear();
  }
  bool is_worth(float similarity) const {
    return rows_.size() < breadth_ || similarity > rows_.back().similarity;
  }
  /// Not a row that is there; only if is_worth().
  void push(const ScoredRow& scored) {
    if (rows_.size() == breadth_) rows_.pop_back();
    const auto place = std::upper_bound(rows_.begin(), rows_.end(), scored, is_nearer);
    next_ = std::min(next_, static_cast<size_t>(place - rows_.begin()));
    rows_.insert(place, scored);
  }
  /// The nearest not yet taken; kNoRow when there is none.
  uint32_t take() {
    if (next_ == rows_.size()) return kNoRow;
    const uint32_t row = rows_[next_].row;
    rows_[next_].row |= kTaken;
    peek();
    return row;
  }
  /// The one that take() would return.
  uint32_t peek() {
    while (next_ < rows_.size() && (rows_[next_].row & kTaken) != 0) ++next_;
    return next_ < rows_.size() ? rows_[next_].row : kNoRow;
  }
  /// Ends the walk.
  std::span<ScoredRow> found() {
    for (ScoredRow& one : rows_) one.row &= ~kTaken;
    return rows_;
  }

 private:
  static constexpr uint32_t kTaken = uint32_t{1} << 31U;
  static_assert(kRowsMax <= kTaken);

  size_t breadth_ = 0;
  size_t next_ = 0;  // all before it are taken
  std::vector<ScoredRow> rows_;
};

}  // namespace enhanced_gptcache::index
