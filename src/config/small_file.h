#pragma once
// Small files of the settings: base/small_file.h, and keys kept in files.

#include <string>

#include "base/small_file.h"

namespace enhanced_gptcache::config {

using base::read_small_file;
using base::replace_file;
/// A key kept in a file: blanks around it do not count. kInvalidArgument: empty, or no visible ASCII.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace enhanced_gptcache::config
