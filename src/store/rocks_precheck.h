#pragma once
// Damage that would end the process inside RocksDB, found before RocksDB opens the file.

#include <rocksdb/status.h>

#include <string>

namespace enhanced_gptcache::store {

/// Corruption, naming the file, when the properties of a table file in `folder` say that they have a hash
/// index. RocksDB writes none there, takes them apart before it looks at their checksum, and an assertion
/// (Debian builds with them) then ends the process. Anything else that is wrong is left to RocksDB's
/// checksums.
rocksdb::Status check_tables(const std::string& folder);

}  // namespace enhanced_gptcache::store
