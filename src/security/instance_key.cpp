#include "security/instance_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/descriptor.h"
#include "base/small_file.h"

namespace enhanced_gptcache::security {
namespace {

constexpr size_t kHexDigits = 64;
/// More than a key has: what is no key is said to be none, not to be too large.
constexpr size_t kFileBytesMax = size_t{1} << 20U;

tl::unexpected<Error> io_error(const char* verb, const std::string& path) {
  return fail(ErrorCode::kIo,
              fmt::format("cannot {} the instance key {}: {}", verb, path, std::strerror(errno)));
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
    auto text = base::read_private_file(path, kFileBytesMax);
    if (text) return parse_key(*std::move(text), path);
    if (text.error().code != ErrorCode::kNotFound)
      return fail(text.error().code, fmt::format("the instance key: {}", text.error().message));
    EGPTC_TRY_VOID(create_key(path));
  }
  return fail(ErrorCode::kIo, fmt::format("the instance key {} vanished while it was opened", path));
}

}  // namespace enhanced_gptcache::security
