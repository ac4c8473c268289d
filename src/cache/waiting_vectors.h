#pragma once
// Vectors of stored entries between the disk and the index, at start: a graph that comes back from its
// snapshot asks for them in its own order. In blocks so large that they go back to the system as a whole;
// one allocation each would leave a hole beside every entry.

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::cache {

/// Thread rule: one thread at a time; at() by several while nobody adds.
class WaitingVectors {
 public:
  /// Copies the bytes of a vector (store/vector_codec.h); where at() finds them.
  uint32_t add(std::string_view bytes) {
    if (blocks_.empty() || used_ + bytes.size() > size_) {
      size_ = std::max(kBlockBytes, bytes.size());
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(size_));
      used_ = 0;
    }
    char* const at = blocks_.back().get() + used_;
    std::memcpy(at, bytes.data(), bytes.size());
    used_ += bytes.size();
    vectors_.emplace_back(at, bytes.size());
    return static_cast<uint32_t>(vectors_.size() - 1);
  }
  /// Empty for a place that add() has not returned.
  std::string_view at(uint32_t place) const {
    return place < vectors_.size() ? vectors_[place] : std::string_view();
  }

 private:
  // What the C library maps on its own, whatever was freed before (M_MMAP_THRESHOLD_MAX); only what is
  // written to becomes resident.
  static constexpr size_t kBlockBytes = size_t{33} << 20U;

  std::vector<std::unique_ptr<char[]>> blocks_;
  std::vector<std::string_view> vectors_;
  size_t size_ = 0;  // of the last block
  size_t used_ = 0;  // of it
};

}  // namespace enhanced_gptcache::cache
