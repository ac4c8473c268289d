#pragma once
// The secret of one installation: every tenant name and exact key is a hash under it, so that
// nobody outside can aim at one. It lives in the storage folder, so restarts agree; replicas share
// it by naming the same file in their settings.

#include <string>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {

/// `<storage folder>/instance.key`.
std::string instance_key_path(const std::string& storage_folder);

/// Reads the key (64 hexadecimal digits, an optional line end) or creates it with mode 0600 when the
/// file is absent. Two processes that start at once end up with the same key.
/// kInvalidArgument: others may read or write the file; kCorrupt: another size or no hexadecimal
/// digits; kIo: the operating system refused, with its reason. Every message names the file.
Result<base::SecretKey> load_or_create_instance_key(const std::string& path);

}  // namespace enhanced_gptcache::security
