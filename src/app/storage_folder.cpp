#include "app/storage_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace enhanced_gptcache::app {
namespace {

std::string owner_of(int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
  return size > 0 ? fmt::format(" (process {})", std::string(text, text + strcspn(text, "\n"))) : "";
}

}  // namespace

Result<std::unique_ptr<StorageFolder>> StorageFolder::open(const std::string& path, const char* setting) {
  std::error_code error;
  const bool existed = std::filesystem::exists(path, error);
  std::filesystem::create_directories(path, error);
  if (error)
    return fail(ErrorCode::kIo, fmt::format("{} {} cannot be made: {}", setting, path, error.message()));
  if (!existed) std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  const std::string lock = path + "/" + kLockName;
  const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                fmt::format("{} {} cannot be written: {}", setting, path, std::strerror(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const std::string owner = owner_of(fd);
    ::close(fd);
    if (reason != EWOULDBLOCK) {
      return fail(ErrorCode::kIo,
                  fmt::format("{} {} cannot be locked: {}", setting, path, std::strerror(reason)));
    }
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} {} is in use by another enhanced-gptcache{}; only one process may own it",
                            setting, path, owner));
  }
  const std::string id = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    const int reason = errno;
    ::close(fd);
    return fail(ErrorCode::kIo, fmt::format("{} cannot be written: {}", lock, std::strerror(reason)));
  }
  return std::unique_ptr<StorageFolder>(new StorageFolder(path, fd));
}

StorageFolder::~StorageFolder() { ::close(lock_fd_); }

}  // namespace enhanced_gptcache::app
