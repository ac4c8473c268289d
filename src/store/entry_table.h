#pragma once
// Where entries outlive the process: a table from exact keys to entry bytes, written in batches. The real
// one is RocksDB (rocks_table.h); tests have one in memory that fails on demand (tests/fakes). What is
// waiting to be written, and what happens when writing fails, is decided above it, in entry_log.h.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"
#include "store/entry_codec.h"

namespace enhanced_gptcache::store {

/// One entry stored under its exact key, in place of what was there, or, without bytes, taken away.
struct EntryChange {
  base::Hash128 key;
  base::Hash128 id;                   ///< of the entry stored
  std::shared_ptr<const void> owner;  ///< keeps `bytes` alive
  std::string_view bytes = {};        ///< from encode_entry; empty: the key is removed
  bool is_removal() const { return bytes.empty(); }
};

/// What load() found.
struct LoadReport {
  uint64_t entries = 0;  ///< intact and handed out
  uint64_t bytes = 0;
  uint64_t damaged = 0;  ///< listed, but missing, changed or unreadable: named in the log, not handed out
  std::vector<base::Hash128> damaged_keys;  ///< of those named in the log: the first thousand
  /// Not listed: a removal of them is known or cannot be ruled out. Not handed out.
  uint64_t stray = 0;
  uint64_t tampered = 0;  ///< of the damaged ones: sealed bytes that do not open, or none where there must be
  uint64_t keyless = 0;   ///< sealed by a data key that was destroyed. Not handed out, and removed
  uint64_t locked = 0;    ///< of the keyless ones left where they are: the keystore is damaged
  uint64_t to_reseal = 0;  ///< of the entries: not sealed as they would be now
  /// Part of the table cannot be read at all; replace() it once its entries are held elsewhere.
  bool needs_replacing = false;
};

/// Sizes and the engine's own counters, for metrics.
struct TableStats {
  uint64_t disk_bytes = 0;    ///< of all its files
  uint64_t log_bytes = 0;     ///< of them the write-ahead log
  uint64_t memory_bytes = 0;  ///< buffers of the engine
  uint64_t compactions_running = 0;
  uint64_t compaction_pending_bytes = 0;
  uint64_t files = 0;
  uint64_t keys_refused = 0;     ///< changes that were dropped because no data key could be had for them
  bool was_replaced = false;     ///< what was on disk could not be opened and was put aside at start
  bool log_was_damaged = false;  ///< records of the write-ahead log were skipped at start
};

/// Thread rule: write(), sync(), settle(), recover() and replace() by one thread at a time; everything from
/// checkpoint() on by any. load() before the first write().
class EntryTable {
 public:
  /// Bytes of an intact entry, and the key and id it is listed under. Called by several threads at once.
  using Take = std::function<void(EntryBytes bytes, const base::Hash128& key, const base::Hash128& id)>;

  virtual ~EntryTable() = default;
  /// All of the changes or none, in order; they survive the process when this returns, and a loss of power
  /// too with `is_synced`. kIo: the disk refused; kCorrupt: the table is damaged, see replace().
  virtual Result<void> write(std::span<const EntryChange> changes, bool is_synced) = 0;
  /// What was written earlier survives a loss of power from now on.
  virtual Result<void> sync() = 0;
  /// Moves the write-ahead log's content into checksummed files, so that damage to the log costs nothing.
  virtual Result<void> settle() = 0;
  /// After a failed write: makes writing possible again. kIo, kCorrupt as write().
  virtual Result<void> recover() = 0;
  /// Puts all files aside, into quarantine, and starts an empty table.
  virtual Result<void> replace() = 0;
  /// Hands out every entry on `threads` threads.
  virtual Result<LoadReport> load(size_t threads, const Take& take) = 0;
  /// A consistent copy of everything written so far in `folder`, which must not exist.
  virtual Result<void> checkpoint(const std::string& folder) = 0;
  /// What was removed or replaced under these keys (none: anywhere) is in no file any more when this returns,
  /// the write-ahead log included. As checkpoint(), by any thread. kIo.
  virtual Result<void> purge(std::span<const base::Hash128> keys) = 0;
  /// Every entry has been written again while `key` was current, and nothing else is needed of older seals:
  /// purge() of everything, and older master keys may go. By any thread.
  virtual Result<void> finish_reseal(const base::Hash128& key) = 0;
  /// Master keys that something may be sealed by; empty: nothing is.
  virtual std::vector<base::Hash128> seal_keys() const = 0;
  /// Forgets what was put aside: it may hold what somebody wants erased.
  virtual void clear_quarantine() = 0;
  virtual TableStats stats() const = 0;
};

}  // namespace enhanced_gptcache::store
