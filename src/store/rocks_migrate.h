#pragma once
// Bringing entries of an older schema to the present one, when a table is opened.

#include <cstdint>

#include "store/rocks_db.h"
#include "store/rocks_table.h"

namespace enhanced_gptcache::store {

/// Where a table keeps the version of its entries, among its own facts.
inline constexpr const char* kSchemaKey = "schema";

/// One version after the other from `from` to that of `options`, each in one pass; a kill in between repeats
/// the pass it was in. `sealed_bit` goes into the version that is written. Before other threads use the
/// table.
Result<void> migrate_table(const RocksDb& db, const RocksTableOptions& options, uint32_t from,
                           uint32_t sealed_bit);

}  // namespace enhanced_gptcache::store
