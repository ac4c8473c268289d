#include "base/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"

namespace enhanced_gptcache::base {
namespace {

Error io_error(std::string_view what, const std::string& path) {
  const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return {code, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno))};
}

Result<std::string> read_file(const std::string& path, size_t bytes_max, const PrivateOwner* owner) {
  // Non-blocking, so that a FIFO in place of the file cannot hold the process up.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(io_error("read", path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail(io_error("read", path));
  if (!S_ISREG(status.st_mode))
    return fail(ErrorCode::kIo, fmt::format("cannot read {}: no regular file", path));
  if (const std::string why = owner == nullptr ? "" : why_not_private(status, *owner); !why.empty())
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}", path, why));
  std::string text;
  char buffer[8192];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(io_error("read", path));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > bytes_max) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("{} is larger than {} bytes", path, bytes_max));
    }
  }
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, size_t bytes_max) {
  return read_file(path, bytes_max, nullptr);
}

std::string why_not_private(const struct stat& status, PrivateOwner owner) {
  const uid_t us = ::geteuid();
  const bool is_named = owner == PrivateOwner::kOursOrRoot;
  if (is_named && status.st_uid != us && status.st_uid != 0)
    return fmt::format("belongs to user {}, who could change it; it must belong to user {} or to root",
                       status.st_uid, us);
  const unsigned forbidden = is_named && status.st_uid == 0 && us != 0 ? 037U : 077U;
  if ((status.st_mode & forbidden) == 0) return {};
  return fmt::format("has mode {:04o}, which lets others use it; allowed is 0600 or 0400 (chmod 600)",
                     status.st_mode & 07777U);
}

Result<std::string> read_private_file(const std::string& path, size_t bytes_max, PrivateOwner owner) {
  return read_file(path, bytes_max, &owner);
}

Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0) return fail(io_error("write", temporary));
    if (!write_all(file.get(), text) || ::fsync(file.get()) != 0) {
      Error error = io_error("write", temporary);
      ::unlink(temporary.c_str());
      return fail(std::move(error));
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    Error error = io_error("replace", path);
    ::unlink(temporary.c_str());
    return fail(std::move(error));
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Descriptor directory(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
  return {};
}

}  // namespace enhanced_gptcache::base
