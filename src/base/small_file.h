#pragma once
// Reading and replacing small files as a whole.

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::base {

/// kNotFound: no such file; kIo: cannot be read, or no regular file; kInvalidArgument: over `bytes_max`.
Result<std::string> read_small_file(const std::string& path, size_t bytes_max);

/// Whose a file with secrets may be.
enum class PrivateOwner {
  kAny,         ///< files of our folders, which root's tools read, too
  kOursOrRoot,  ///< files an administrator names; root's may be readable by the group (mounted secrets)
};
/// The one check of such files: empty, or why others could read or change it, to follow its path.
std::string why_not_private(const struct stat& status, PrivateOwner owner);
/// read_small_file() of such a file. kInvalidArgument: it is not private.
Result<std::string> read_private_file(const std::string& path, size_t bytes_max,
                                      PrivateOwner owner = PrivateOwner::kAny);
/// By a temporary file beside it, fsync and rename, mode 0600: after a crash the old or the new text is
/// there, never a part. kIo.
Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace enhanced_gptcache::base
