#include "index/row_table.h"

#include <utility>

namespace enhanced_gptcache::index {

size_t RowTable::slot_of(uint64_t label) const {
  size_t slot = home(label);
  while (slots_[slot] != kNoRow && rows_.label(slots_[slot]) != label)
    slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void RowTable::resize(size_t slots) {
  const std::vector<uint32_t> old = std::exchange(slots_, std::vector<uint32_t>(slots, kNoRow));
  for (const uint32_t row : old) {
    if (row != kNoRow) slots_[slot_of(rows_.label(row))] = row;
  }
}

void RowTable::insert(uint32_t row) {
  if ((size_ + 1) * 4 > slots_.size() * 3) resize(slots_.size() * 2);
  slots_[slot_of(rows_.label(row))] = row;
  ++size_;
}

void RowTable::erase(uint64_t label) {
  size_t hole = slot_of(label);
  if (slots_[hole] == kNoRow) return;
  slots_[hole] = kNoRow;
  --size_;
  // Those behind that were pushed past the hole move up (Knuth, The Art of Computer Programming 3, 6.4 R).
  const size_t mask = slots_.size() - 1;
  for (size_t slot = (hole + 1) & mask; slots_[slot] != kNoRow; slot = (slot + 1) & mask) {
    const size_t wanted = home(rows_.label(slots_[slot]));
    if (((slot - wanted) & mask) < ((slot - hole) & mask)) continue;
    slots_[hole] = std::exchange(slots_[slot], kNoRow);
    hole = slot;
  }
  if (size_ * 8 < slots_.size() && slots_.size() > kSlotsMin) resize(slots_.size() / 2);
}

}  // namespace enhanced_gptcache::index
