#pragma once
// SHA256SUMS beside the files of a folder, in the form of coreutils' sha256sum: whether a file is what was
// put there.

#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::base {

inline constexpr std::string_view kChecksumFile = "SHA256SUMS";

/// Are `bytes`, read from `path`, what SHA256SUMS in the folder of `path` says of it? kNotFound: there is no
/// such list; kCorrupt: the file is not in it, or has another sum; kIo, kInvalidArgument: the list cannot be
/// read.
Result<void> check_listed_sha256(const std::string& path, std::string_view bytes);

}  // namespace enhanced_gptcache::base
