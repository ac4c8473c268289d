#pragma once
// EntryTable on RocksDB (docs/formats.md). Two column families: `entries` holds the
// bytes, `directory` the id of the entry that is current for each key. An entry counts only when the
// directory lists its id, so bytes that come back by damage (an older version, a removed entry) are never
// served, and bytes that are gone are named. RocksDB's types stay in rocks_*.cpp.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/entry_seal.h"
#include "store/entry_table.h"

namespace enhanced_gptcache::store {

/// Raised when what is kept beside the entries' own bytes changes its form.
inline constexpr uint32_t kSchemaVersion = 1;

/// Rewrites one entry's bytes from one schema version to the next; an error drops the entry. After a kill it
/// meets entries it has already converted and returns those as they are.
using Migration = std::function<Result<std::string>(std::string_view bytes)>;

struct RocksTableOptions {
  std::string folder;      ///< made 0700 when missing; its files are RocksDB's alone
  std::string quarantine;  ///< where damaged tables are put aside; emptied by clear_quarantine()
  std::string owner;       ///< names the key that exact keys are hashed with; another one is refused
  uint64_t bytes_max = uint64_t{2048} << 20U;  ///< what the files may come to; sizes the engine's buffers
  uint32_t schema_version = kSchemaVersion;
  /// migrations[i] leads from version i + 1 to i + 2.
  std::vector<Migration> migrations = {};
  /// Seals what is written and opens what was; null: neither. Its vault has a keystore.
  std::shared_ptr<const EntrySealer> sealer = nullptr;
  /// Go on without the keystore the entries were sealed with: those of subjects are lost then.
  bool accepts_other_keystore = false;
};

/// kUnavailable: another process holds the folder; kUnsupported: written by a newer version;
/// kInvalidArgument: written under another instance key, or sealed by a key that is not there; kIo: the disk
/// refuses. Damage is no error: what cannot be opened is put aside and an empty table begins
/// (TableStats::was_replaced).
Result<std::unique_ptr<EntryTable>> open_rocks_table(const RocksTableOptions& options);

}  // namespace enhanced_gptcache::store
