#pragma once
// Reading a whole table: directory and entries side by side, damage named entry by entry.

#include "store/entry_seal.h"
#include "store/entry_table.h"
#include "store/rocks_db.h"

namespace enhanced_gptcache::store {

/// EntryTable::load. `sealer` null: nothing is sealed.
Result<LoadReport> load_entries(RocksDb& from, const EntrySealer* sealer, size_t threads,
                                const EntryTable::Take& take);

}  // namespace enhanced_gptcache::store
