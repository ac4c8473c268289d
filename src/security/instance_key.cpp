#include "security/instance_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/descriptor.h"

namespace enhanced_gptcache::security {
namespace {

constexpr size_t kHexDigits = 64;

tl::unexpected<Error> io_error(const char* verb, const std::string& path) {
  return fail(ErrorCode::kIo,
              fmt::format("cannot {} the instance key {}: {}", verb, path, std::strerror(errno)));
}

Result<std::string> read_file(int fd, const std::string& path) {
  std::string text;
  char buffer[256];
  // A few bytes more than a key are enough to see that it is none.
  while (text.size() <= kHexDigits + 2) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("read", path);
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

Result<base::SecretKey> parse_key(std::string text, const std::string& path) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  base::SecretKey key;
  bool valid = text.size() == kHexDigits;
  for (size_t i = 0; valid && i < key.size(); ++i) {
    const char* digits = text.data() + 2 * i;
    valid = std::isxdigit(static_cast<unsigned char>(digits[0])) != 0 &&
            std::from_chars(digits, digits + 2, key[i], 16).ptr == digits + 2;
  }
  if (!valid) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("the instance key {} must hold exactly {} hexadecimal digits; restore it from a "
                            "backup, or delete it together with the stored entries",
                            path, kHexDigits));
  }
  return key;
}

Result<base::SecretKey> read_key(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return io_error("examine", path);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kInvalidArgument, fmt::format("the instance key {} is not a regular file", path));
  if ((info.st_mode & 077U) != 0) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("the instance key {} has mode {:04o}, which lets others use it; allowed is 0600 or "
                    "0400 (chmod 600 {})",
                    path, info.st_mode & 07777U, path));
  }
  EGPTC_TRY(std::string text, read_file(fd, path));
  return parse_key(std::move(text), path);
}

/// Writes a new key beside the final name and links it there: the name never shows half a key, and
/// of two processes the second one finds the first one's.
Result<void> create_key(const std::string& path) {
  const std::string temporary = path + "." + base::random_hex(8);
  const std::string hex = base::random_hex(kHexDigits / 2);
  {
    const base::Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return io_error("create", path);
    if (!base::write_all(file.get(), hex + "\n") || ::fsync(file.get()) != 0) {
      const int reason = errno;
      ::unlink(temporary.c_str());
      errno = reason;
      return io_error("write", path);
    }
  }
  const bool linked = ::link(temporary.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int reason = errno;
  ::unlink(temporary.c_str());
  errno = reason;
  if (!linked) return io_error("create", path);
  return {};
}

}  // namespace

std::string instance_key_path(const std::string& storage_folder) { return storage_folder + "/instance.key"; }

Result<base::SecretKey> load_or_create_instance_key(const std::string& path) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() >= 0) return read_key(file.get(), path);
    if (errno != ENOENT) return io_error("open", path);
    if (auto created = create_key(path); !created) return fail(std::move(created).error());
  }
  return fail(ErrorCode::kIo, fmt::format("the instance key {} vanished while it was opened", path));
}

}  // namespace enhanced_gptcache::security
