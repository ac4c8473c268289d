#include "embed/wordpiece_trie.h"

#include <algorithm>

namespace enhanced_gptcache::embed {
namespace {

using Entry = std::pair<std::string_view, int32_t>;

// Free places tried, and cells looked at, before a node's children go behind everything placed so
// far. They bound the time of a build for any vocabulary.
constexpr size_t kPlacesTried = 16;
constexpr size_t kCellsSeen = 512;

}  // namespace

class WordPieceTrie::Builder {
 public:
  Builder(std::vector<Node>& nodes, const std::vector<Entry>& entries) : nodes_(nodes), entries_(entries) {}

  void build() {
    nodes_.assign(512, Node{});
    nodes_[kRoot].parent = kRoot;
    pending_.push_back({kRoot, 0, 0, entries_.size()});
    while (!pending_.empty()) {
      const Range range = pending_.back();
      pending_.pop_back();
      place_children(range);
    }
    nodes_.resize(used_end_ + 256);
  }

 private:
  // Sorted entries [first, last) share their first `depth` bytes, which lead to `node`.
  struct Range {
    uint32_t node;
    size_t depth;
    size_t first;
    size_t last;
  };
  struct Child {
    unsigned char byte;
    size_t first;
    size_t last;
  };

  void place_children(Range range) {
    if (entries_[range.first].first.size() == range.depth) {
      nodes_[range.node].id = entries_[range.first].second;
      ++range.first;
    }
    children_.clear();
    for (size_t i = range.first; i < range.last; ++i) {
      const auto byte = static_cast<unsigned char>(entries_[i].first[range.depth]);
      if (children_.empty() || children_.back().byte != byte) children_.push_back({byte, i, i});
      children_.back().last = i + 1;
    }
    if (children_.empty()) return;
    const uint32_t base = find_base();
    nodes_[range.node].base = base;
    for (const Child& child : children_) {
      const uint32_t cell = base + child.byte;
      nodes_[cell].parent = range.node;
      used_end_ = std::max<size_t>(used_end_, cell + 1);
      pending_.push_back({cell, range.depth + 1, child.first, child.last});
    }
    while (nodes_[first_free_].parent != kNone) ++first_free_;
  }

  // A base at which the cells of all children are free. Cells from used_end_ on are always free.
  uint32_t find_base() {
    const unsigned char lowest = children_.front().byte;
    size_t cell = std::max<size_t>(first_free_, lowest + 1);
    const size_t last_cell = std::min(used_end_, cell + kCellsSeen);
    for (size_t tried = 0; tried < kPlacesTried && cell < last_cell; ++cell) {
      if (nodes_[cell].parent != kNone) continue;
      if (fits(cell - lowest)) return reserve(cell - lowest);
      ++tried;
    }
    return reserve(std::max<size_t>(used_end_, lowest + 1) - lowest);
  }

  bool fits(size_t base) const {
    return std::all_of(children_.begin(), children_.end(), [&](const Child& child) {
      const size_t cell = base + child.byte;
      return cell >= nodes_.size() || nodes_[cell].parent == kNone;
    });
  }

  uint32_t reserve(size_t base) {
    if (nodes_.size() < base + 512) nodes_.resize(std::max(base + 512, nodes_.size() * 2));
    return static_cast<uint32_t>(base);
  }

  std::vector<Node>& nodes_;
  const std::vector<Entry>& entries_;
  std::vector<Range> pending_;
  std::vector<Child> children_;
  size_t used_end_ = 1;    // every cell from here on is free
  size_t first_free_ = 1;  // every cell before here is taken
};

WordPieceTrie::WordPieceTrie(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.first < b.first; });
  std::vector<Entry> unique;
  unique.reserve(entries.size());
  for (const Entry& entry : entries) {
    if (entry.first.empty()) continue;
    if (!unique.empty() && unique.back().first == entry.first) unique.pop_back();
    unique.push_back(entry);
  }
  if (unique.empty()) {
    nodes_.assign(257, Node{});
    return;
  }
  Builder(nodes_, unique).build();
}

uint32_t WordPieceTrie::walk(uint32_t node, std::string_view bytes) const {
  for (const char byte : bytes) {
    const uint32_t next = nodes_[node].base + static_cast<unsigned char>(byte);
    if (nodes_[next].parent != node) return kNone;
    node = next;
  }
  return node;
}

}  // namespace enhanced_gptcache::embed
