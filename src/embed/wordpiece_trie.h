#pragma once
// A byte trie over the vocabulary in double-array form (Aoe, "An Efficient Digital Search Algorithm by
// Using a Double-Array Structure", IEEE TSE 1989): one array access per byte, so that the longest
// matching piece is found in one walk instead of one hash per candidate length.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace enhanced_gptcache::embed {

/// Thread rule: immutable once made; any thread.
class WordPieceTrie final {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kRoot = 0;

  struct Match {
    int32_t id = -1;  ///< -1: no entry starts here
    size_t length_bytes = 0;
  };

  WordPieceTrie() : nodes_(257) {}
  /// Entries in any order; of equal strings the last one counts. Empty strings are left out.
  explicit WordPieceTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  /// The node reached from `node` over `bytes`, or kNone.
  uint32_t walk(uint32_t node, std::string_view bytes) const;

  /// The longest entry that `text` starts with, as seen from `node`. An entry that ends at `node`
  /// itself does not count.
  Match longest(uint32_t node, std::string_view text) const {
    Match match;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint32_t next = nodes_[node].base + static_cast<unsigned char>(text[i]);
      if (nodes_[next].parent != node) break;
      node = next;
      if (nodes_[node].id >= 0) match = {nodes_[node].id, i + 1};
    }
    return match;
  }

 private:
  struct Node {
    uint32_t base = 0;        // children sit at base + byte
    uint32_t parent = kNone;  // kNone: a free cell
    int32_t id = -1;
  };
  class Builder;

  std::vector<Node> nodes_;  // 256 free cells at the end keep base + byte in range
};

}  // namespace enhanced_gptcache::embed
