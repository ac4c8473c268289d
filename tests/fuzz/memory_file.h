#pragma once
// A file of its own in memory, with a path, for code that opens files by name.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "input.h"

namespace enhanced_gptcache::fuzz {

/// Mode 0600. Gone with the object. Confined to one run of a target.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    must(fd_ >= 0 && ::fchmod(fd_, 0600) == 0, "a file in memory can be made");
    must(::write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
         "a file in memory can be written");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace enhanced_gptcache::fuzz
