#pragma once
// Bytes at a cache-line boundary, for weights and working memory of the kernels; on huge pages, where the
// system has them, when there are many.

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace enhanced_gptcache::embed {

/// Thread rule: confined to its owner. Not initialised beyond what the owner writes.
class AlignedBuffer final {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kHugePage = size_t{2} << 20U;
  static constexpr size_t kHugeFrom = 2 * kHugePage;

  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) : bytes_(allocate(bytes), Free{alignment_of(bytes)}), size_(bytes) {}

  /// At least `bytes`, growing when needed; the old contents are lost then.
  std::byte* reserve(size_t bytes) {
    if (bytes > size_) *this = AlignedBuffer(bytes);
    return bytes_.get();
  }

  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }

 private:
  struct Free {
    size_t alignment;
    Free() : alignment(kAlignment) {}
    explicit Free(size_t its_alignment) : alignment(its_alignment) {}
    void operator()(std::byte* bytes) const { ::operator delete (bytes, std::align_val_t{alignment}); }
  };
  static size_t alignment_of(size_t bytes) { return bytes < kHugeFrom ? kAlignment : kHugePage; }
  static std::byte* allocate(size_t bytes) {
    const size_t alignment = alignment_of(bytes);
    auto* const memory = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment}));
    // A wish: without huge pages it is slower, nothing else.
    if (alignment == kHugePage) static_cast<void>(::madvise(memory, bytes, MADV_HUGEPAGE));
    return memory;
  }

  std::unique_ptr<std::byte, Free> bytes_;
  size_t size_ = 0;
};

}  // namespace enhanced_gptcache::embed
