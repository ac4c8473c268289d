#pragma once
// Reading secrets that others must not see: a file whose owner and mode are checked, a command's output.

#include <string>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::vault {

/// kNotFound: no such file; kInvalidArgument: of somebody else, or usable by others; kIo.
Result<std::string> read_key_file(const std::string& path);
/// By /bin/sh, without input, for kKeyCommandSeconds at most. kUnavailable: it failed, with its status.
Result<std::string> run_key_command(const std::string& command);

}  // namespace enhanced_gptcache::vault
