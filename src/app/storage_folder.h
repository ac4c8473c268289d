#pragma once
// The folder on disk that belongs to one running process: instance key, admin changes, PCA model.

#include <memory>
#include <string>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::app {

/// The lock file of a folder.
inline constexpr const char* kLockName = "LOCK";

/// Holds the folder for this process, by an advisory lock on <path>/LOCK, until destroyed.
class StorageFolder {
 public:
  /// Makes the folder (0700) when it is missing; `setting` names it in errors. kUnavailable: another process
  /// holds it, with its id; kIo: it cannot be made, written or locked.
  static Result<std::unique_ptr<StorageFolder>> open(const std::string& path,
                                                     const char* setting = "storage.path");
  ~StorageFolder();
  StorageFolder(const StorageFolder&) = delete;
  StorageFolder& operator=(const StorageFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  StorageFolder(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_;
};

}  // namespace enhanced_gptcache::app
