#pragma once
// Removing for good. A removed key is only marked as such: older files and the write-ahead log still hold the
// bytes until a flush and a compaction have written everything around them anew.

#include <span>
#include <string>

#include "store/rocks_db.h"

namespace enhanced_gptcache::store {

/// What was removed or replaced under `keys` (all of the table: none) is in no file of `folder` when this
/// returns, write-ahead logs included. Serving goes on. Cost: writes the files around the keys anew. kIo.
Result<void> purge(RocksDb& db, const std::string& folder, std::span<const base::Hash128> keys);

}  // namespace enhanced_gptcache::store
