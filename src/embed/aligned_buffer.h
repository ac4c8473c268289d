#pragma once
// Bytes at a cache-line boundary, for weights and working memory of the kernels.

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace enhanced_gptcache::embed {

/// Thread rule: confined to its owner. Not initialised beyond what the owner writes.
class AlignedBuffer final {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) : bytes_(allocate(bytes)), size_(bytes) {}

  /// At least `bytes`, growing when needed; the old contents are lost then.
  std::byte* reserve(size_t bytes) {
    if (bytes > size_) *this = AlignedBuffer(bytes);
    return bytes_.get();
  }

  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{kAlignment}); }
  };
  static std::byte* allocate(size_t bytes) {
    return static_cast<std::byte*>(::operator new (bytes, std::align_val_t{kAlignment}));
  }

  std::unique_ptr<std::byte, Free> bytes_;
  size_t size_ = 0;
};

}  // namespace enhanced_gptcache::embed
