#pragma once
// Tells when one of a few files has changed, however it was changed: written in place, renamed over
// by an editor, or swapped by Kubernetes, which replaces the link "..data" in the folder. inotify
// watches the folders, because a watch on the file itself dies with its inode; where it sees nothing
// (network file systems, no watches left), the files are compared once a second.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::config {

/// Device, inode, size and times of what `path` leads to; "-" when there is nothing.
std::string file_signature(const std::string& path);

/// Thread rule: start and destroy on one thread, not from `changed`, which runs on its own thread.
class FileWatch {
 public:
  /// `paths` is asked again after each change. `changed` is called once the files have been still for
  /// `debounce_ms`. kIo: no descriptor for it.
  static Result<std::unique_ptr<FileWatch>> start(std::function<std::vector<std::string>()> paths,
                                                  std::function<void()> changed, int debounce_ms);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  using Paths = std::function<std::vector<std::string>()>;
  FileWatch(Paths paths, std::function<void()> changed, int debounce_ms, int stop_fd, int inotify_fd);
  void run();
  void watch_folders();
  std::map<std::string, std::string> signatures() const;
  bool still_running(int timeout_ms, bool wake_on_events);
  void drain_events();

  const Paths paths_;
  const std::function<void()> changed_;
  const int debounce_ms_;
  const int stop_fd_;
  const int inotify_fd_;  ///< -1: only comparing

  // Own thread only, once it runs.
  std::vector<std::string> files_;
  std::map<std::string, std::string> seen_;  ///< file to the signature that was acted on
  std::set<int> watches_;

  std::thread thread_;
};

}  // namespace enhanced_gptcache::config
