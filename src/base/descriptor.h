#pragma once
// What small readers and writers of files share: a descriptor that closes itself, and a write that is whole.

#include <unistd.h>

#include <string_view>

namespace enhanced_gptcache::base {

/// Owns an open file descriptor; a negative one stands for none. Thread rule: one thread at a time.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

/// All of `bytes`, however many calls it takes. False: errno says why, and a part may have been written.
bool write_all(int fd, std::string_view bytes);

}  // namespace enhanced_gptcache::base
