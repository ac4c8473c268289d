#pragma once
// A binary heap, smallest key first, whose elements know their place, so that any of them can be
// taken out or moved in O(log n). Sixteen bytes an element.

#include <cstdint>
#include <utility>
#include <vector>

namespace enhanced_gptcache::cache {

/// Where an element stands that is in no heap.
inline constexpr uint32_t kNotInHeap = UINT32_MAX;

/// Thread rule: guarded by its owner. `kPlace` is the element's own field; initially kNotInHeap.
template <typename T, uint32_t T::*kPlace>
class IndexedHeap {
 public:
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  size_t bytes() const { return items_.capacity() * sizeof(Item); }
  bool contains(const T& element) const { return element.*kPlace != kNotInHeap; }
  T& top() const { return *items_.front().element; }
  int64_t top_key() const { return items_.front().key; }

  /// Every element, parents before children.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const Item& item : items_) visit(*item.element);
  }
  void push(int64_t key, T& element) {
    // By an eighth: doubling would leave up to half of the memory empty.
    if (items_.size() == items_.capacity()) items_.reserve(items_.size() + items_.size() / 8 + 4);
    items_.push_back({key, &element});
    element.*kPlace = static_cast<uint32_t>(items_.size() - 1);
    rise(items_.size() - 1);
  }
  void change_top_key(int64_t key) {
    items_.front().key = key;
    sink(0);
  }
  void remove(T& element) {
    const size_t at = element.*kPlace;
    element.*kPlace = kNotInHeap;
    const Item last = items_.back();
    items_.pop_back();
    if (at < items_.size()) {
      place(at, last);
      rise(at);
      sink(last.element->*kPlace);
    }
    // Memory follows the content down, with slack against growing and shrinking in turn.
    if (items_.size() * 4 < items_.capacity()) {
      std::vector<Item> smaller;
      smaller.reserve(items_.size() * 2);
      smaller.assign(items_.begin(), items_.end());
      items_.swap(smaller);
    }
  }

 private:
  struct Item {
    int64_t key;
    T* element;
  };

  void place(size_t at, const Item& item) {
    items_[at] = item;
    item.element->*kPlace = static_cast<uint32_t>(at);
  }
  void rise(size_t at) {
    const Item item = items_[at];
    while (at > 0 && item.key < items_[(at - 1) / 2].key) {
      place(at, items_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    place(at, item);
  }
  void sink(size_t at) {
    const Item item = items_[at];
    while (true) {
      size_t child = 2 * at + 1;
      if (child >= items_.size()) break;
      if (child + 1 < items_.size() && items_[child + 1].key < items_[child].key) ++child;
      if (items_[child].key >= item.key) break;
      place(at, items_[child]);
      at = child;
    }
    place(at, item);
  }

  std::vector<Item> items_;
};

}  // namespace enhanced_gptcache::cache
