#include "config/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

constexpr size_t kSecretBytesMax = size_t{64} << 10U;

Error io_error(std::string_view what, const std::string& path) {
  const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return {code, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno))};
}

/// An open file descriptor. Confined to one function.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, size_t bytes_max) {
  // Non-blocking, so that a FIFO in place of the file cannot hold the process up.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(io_error("read", path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail(io_error("read", path));
  if (!S_ISREG(status.st_mode))
    return fail(ErrorCode::kIo, fmt::format("cannot read {}: no regular file", path));
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

Result<std::string> read_secret_file(const std::string& path) {
  EGPTC_TRY(const std::string text, read_small_file(path, kSecretBytesMax));
  std::string secret = trim(text);
  if (secret.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("{} is empty", path));
  const std::string wrong = check_secret(secret);
  if (!wrong.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("the key in {} {}", path, wrong));
  return secret;
}

}  // namespace enhanced_gptcache::config
