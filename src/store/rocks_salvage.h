#pragma once
// Which entries can still be believed when records of the write-ahead log are lost. A lost record may have
// replaced or removed an entry that an older file still holds, and serving that would be a wrong answer. But
// the bytes of the log are still there, and each change writes its key twice into them: an entry whose key is
// not among them was not changed, and one whose key is there for a single change, with the id that the
// directory lists, is that change. Every other one is given up.

#include <string>
#include <unordered_set>

#include "store/rocks_db.h"

namespace enhanced_gptcache::store {

/// All bytes of the write-ahead logs in `folder`; what cannot be read is missing from them.
std::string read_logs(const std::string& folder);

using KeySet = std::unordered_set<base::Hash128, base::Hash128Hasher>;
/// Keys of `from` that cannot be believed after `log` lost records. Costs one pass over the log.
Result<KeySet> doubtful_keys(RocksDb& from, const std::string& log);

}  // namespace enhanced_gptcache::store
