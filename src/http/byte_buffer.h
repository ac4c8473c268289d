#pragma once
// A growable run of bytes that is not cleared before it is filled from a socket.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace enhanced_gptcache::http {

/// Confined to its owner. Views into it are valid until ensure_space() grows it or consume() is called.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept
      : bytes_(std::move(other.bytes_)),
        capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    capacity_ = std::exchange(other.capacity_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::string_view view() const { return {bytes_.get(), size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  char* tail() { return bytes_.get() + size_; }
  size_t space() const { return capacity_ - size_; }
  /// After `count` bytes were written at tail().
  void commit(size_t count) { size_ += count; }
  void clear() { size_ = 0; }

  /// Makes space() at least `wanted`.
  void ensure_space(size_t wanted) {
    if (space() >= wanted) return;
    const size_t capacity = std::max(capacity_ * 2, size_ + wanted);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }
  void append(std::string_view more) {
    if (more.empty()) return;
    ensure_space(more.size());
    std::memcpy(tail(), more.data(), more.size());
    size_ += more.size();
  }
  /// Drops the first `count` bytes.
  void consume(size_t count) {
    size_ -= count;
    if (size_ > 0 && count > 0) std::memmove(bytes_.get(), bytes_.get() + count, size_);
  }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace enhanced_gptcache::http
