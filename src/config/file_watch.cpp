#include "config/file_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace enhanced_gptcache::config {
namespace {

constexpr int kCompareEveryMs = 1000;
// A busy folder (the storage folder is one) must not keep this thread busy too.
constexpr int kPauseMs = 20;
// No IN_MODIFY: it comes with every write of a log in the same folder. A writer that never closes is
// seen by comparing.
constexpr uint32_t kEvents =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF;

std::string folder_of(const std::filesystem::path& file) {
  const std::string folder = file.parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

std::string file_signature(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "-";
  return fmt::format("{}.{}.{}.{}.{}.{}.{}", status.st_dev, status.st_ino, status.st_size,
                     status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                     status.st_ctim.tv_nsec);
}

Result<std::unique_ptr<FileWatch>> FileWatch::start(Paths paths, std::function<void()> changed,
                                                    int debounce_ms) {
  const int stop_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0) {
    return fail(ErrorCode::kIo, fmt::format("cannot watch settings files: {}", std::strerror(errno)));
  }
  const int inotify_fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return std::unique_ptr<FileWatch>(
      new FileWatch(std::move(paths), std::move(changed), debounce_ms, stop_fd, inotify_fd));
}

FileWatch::FileWatch(Paths paths, std::function<void()> changed, int debounce_ms, int stop_fd, int inotify_fd)
    : paths_(std::move(paths)),
      changed_(std::move(changed)),
      debounce_ms_(debounce_ms),
      stop_fd_(stop_fd),
      inotify_fd_(inotify_fd) {
  // Before the thread starts, so that whatever is written after start() counts as a change.
  files_ = paths_();
  seen_ = signatures();
  watch_folders();
  thread_ = std::thread([this] { run(); });
}

FileWatch::~FileWatch() {
  const uint64_t one = 1;
  while (::write(stop_fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  ::close(stop_fd_);
  if (inotify_fd_ >= 0) ::close(inotify_fd_);
}

void FileWatch::run() {
  while (still_running(kCompareEveryMs, true)) {
    drain_events();
    watch_folders();
    auto now = signatures();
    if (now == seen_) {
      if (!still_running(kPauseMs, false)) return;
      continue;
    }
    // Editors write in several steps: act on the last one.
    do {
      now = signatures();
      if (!still_running(debounce_ms_, false)) return;
    } while (now != signatures());
    changed_();
    // Files that were compared keep the state from before the call: what changed meanwhile is news.
    files_ = paths_();
    seen_ = signatures();
    for (auto& [file, signature] : now) {
      if (const auto kept = seen_.find(file); kept != seen_.end()) kept->second = signature;
    }
  }
}

std::map<std::string, std::string> FileWatch::signatures() const {
  std::map<std::string, std::string> out;
  for (const std::string& file : files_) out[file] = file_signature(file);
  return out;
}

void FileWatch::watch_folders() {
  if (inotify_fd_ < 0) return;
  std::set<int> watches;
  for (const std::string& file : files_) {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::canonical(file, error);
    for (const std::string& folder : {folder_of(file), error ? folder_of(file) : folder_of(target)}) {
      // The same folder gives the same number again; one that is not there yet is left to comparing.
      const int watch = ::inotify_add_watch(inotify_fd_, folder.c_str(), kEvents);
      if (watch >= 0) watches.insert(watch);
    }
  }
  for (const int old : watches_) {
    if (watches.count(old) == 0) ::inotify_rm_watch(inotify_fd_, old);
  }
  watches_ = std::move(watches);
}

/// Waits; false when the destructor runs.
bool FileWatch::still_running(int timeout_ms, bool wake_on_events) {
  pollfd waits[2] = {{stop_fd_, POLLIN, 0}, {inotify_fd_, POLLIN, 0}};
  const nfds_t count = wake_on_events && inotify_fd_ >= 0 ? 2 : 1;
  while (::poll(waits, count, timeout_ms) < 0 && errno == EINTR) {
  }
  return (waits[0].revents & POLLIN) == 0;
}

void FileWatch::drain_events() {
  if (inotify_fd_ < 0) return;
  alignas(inotify_event) char buffer[4096];
  while (::read(inotify_fd_, buffer, sizeof buffer) > 0) {
  }
}

}  // namespace enhanced_gptcache::config
