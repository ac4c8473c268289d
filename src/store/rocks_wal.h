#pragma once
// A write-ahead log with damaged records, put right before RocksDB reads it: RocksDB would drop everything to
// the end of a block of 32 KiB. Intact records are kept as they are. Of a damaged one the changes that can be
// read whole are kept, because an entry's own bytes have a checksum and name their key and id, which the
// directory must list: a change that was hit itself is found out when the table is loaded. A change that
// cannot be read becomes a removal of its key, so that no older version of it comes back. Formats: RocksDB's
// wiki, "Write Ahead Log File Format"; db/write_batch.cc for what a record holds.

#include <cstdint>
#include <string>
#include <vector>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::store {

/// An entry whose change could not be read; `id` zeros: not known.
struct LostChange {
  base::Hash128 key, id;
};

struct MendedLogs {
  uint64_t damaged_records = 0;  ///< that are gone from the logs now
  /// Nothing was changed: a change that was synced is missing and nothing tells which key it was of.
  bool is_unclear = false;
  std::vector<LostChange> lost;
};

/// Of the logs in `folder`, by whoever holds its lock. `synced`: the sequence number that they had reached
/// when they were last synced (Mark). A log that ends within a record is left to RocksDB if it had come no
/// further.
MendedLogs mend_logs(const std::string& folder, uint64_t synced);

}  // namespace enhanced_gptcache::store
