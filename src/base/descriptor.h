#pragma once
// What small readers and writers of files share: a descriptor that closes itself, and a write that is whole.

#include <unistd.h>

#include <string_view>
#include <utility>

namespace enhanced_gptcache::base {

/// Owns an open file descriptor; a negative one stands for none. Thread rule: one thread at a time.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

/// All of `bytes`, however many calls it takes. False: errno says why, and a part may have been written.
bool write_all(int fd, std::string_view bytes);

}  // namespace enhanced_gptcache::base
