#pragma once
// Reading and replacing small files as a whole.

#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::base {

/// kNotFound: no such file; kIo: cannot be read, or no regular file; kInvalidArgument: over `bytes_max`.
Result<std::string> read_small_file(const std::string& path, size_t bytes_max);
/// The same for a file with secrets in it. kInvalidArgument: others may read or write it.
Result<std::string> read_private_file(const std::string& path, size_t bytes_max);
/// By a temporary file beside it, fsync and rename, mode 0600: after a crash the old or the new text is
/// there, never a part. kIo.
Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace enhanced_gptcache::base
