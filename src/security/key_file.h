#pragma once
// The text of `api_keys.json` (docs/formats.md) and of one key as the admin API shows it.

#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.h"
#include "security/key_store.h"

namespace enhanced_gptcache::security {

inline constexpr size_t kKeyFileBytesMax = size_t{64} << 20U;

/// Empty when there is no file. kCorrupt, kInvalidArgument (mode), kIo; every message names the file.
Result<std::vector<KeyRecord>> read_key_file(const std::string& path);
std::string key_file_text(const std::vector<KeyRecord>& records);
/// 64 hexadecimal digits.
bool parse_sha256(std::string_view hex, base::Sha256& out);

}  // namespace enhanced_gptcache::security
