#pragma once
// Label to row, for the one writer of a GraphIndex: open addressing over row numbers only (about seven bytes
// a row), because the labels are read from the rows themselves.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/graph_rows.h"

namespace enhanced_gptcache::index {

/// Thread rule: one thread. `rows` outlives it; every row in it is alive.
class RowTable {
 public:
  explicit RowTable(const GraphRows& rows) : rows_(rows), slots_(kSlotsMin, kNoRow) {}

  size_t size() const { return size_; }
  size_t bytes() const { return slots_.capacity() * sizeof(uint32_t); }
  /// kNoRow: there is no such label.
  uint32_t find(uint64_t label) const { return slots_[slot_of(label)]; }
  void insert(uint32_t row);
  void erase(uint64_t label);

 private:
  static constexpr size_t kSlotsMin = 64;

  size_t home(uint64_t label) const { return (label * 0x9E3779B97F4A7C15ULL >> 20U) & (slots_.size() - 1); }
  /// Of this label, or the free one where it would stand.
  size_t slot_of(uint64_t label) const;
  void resize(size_t slots);

  const GraphRows& rows_;
  std::vector<uint32_t> slots_;
  size_t size_ = 0;
};

}  // namespace enhanced_gptcache::index
