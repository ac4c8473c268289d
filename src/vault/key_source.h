#pragma once
// Reading keys from a command's output; those of files are read by base/small_file.h.

#include <string>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::vault {

/// By /bin/sh, without input, for kKeyCommandSeconds at most. kUnavailable: it failed, with its status.
Result<std::string> run_key_command(const std::string& command);

}  // namespace enhanced_gptcache::vault
