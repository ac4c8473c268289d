#pragma once
// Limits of this process for the length of a block: what a full disk and used-up descriptors answer, without
// either. The tests of a program run one after another, so that nobody else is hit.

#include <sys/resource.h>

#include <csignal>

namespace enhanced_gptcache::fakes {

/// Confined to one test.
class ProcessLimit {
 public:
  ProcessLimit(const ProcessLimit&) = delete;
  ProcessLimit& operator=(const ProcessLimit&) = delete;
  ~ProcessLimit() { ::setrlimit(what_, &before_); }

 protected:
  ProcessLimit(int what, rlim_t most) : what_(static_cast<__rlimit_resource_t>(what)) {
    ::getrlimit(what_, &before_);
    rlimit now = before_;
    now.rlim_cur = most;
    ::setrlimit(what_, &now);
  }

 private:
  const __rlimit_resource_t what_;
  rlimit before_{};
};

/// No file grows above `bytes`: what fits is written, the rest is refused (EFBIG).
class FileSizeLimit : public ProcessLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : ProcessLimit(RLIMIT_FSIZE, bytes) { std::signal(SIGXFSZ, SIG_IGN); }
};

/// No descriptor above those below `count` is handed out (EMFILE); those in use stay.
class DescriptorLimit : public ProcessLimit {
 public:
  explicit DescriptorLimit(rlim_t count) : ProcessLimit(RLIMIT_NOFILE, count) {}
};

}  // namespace enhanced_gptcache::fakes
