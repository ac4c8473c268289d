#pragma once
// One open RocksDB database with our column families: what rocks_table.cpp and rocks_load.cpp share.

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>
#include <string>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"
#include "store/entry_table.h"
#include "store/rocks_wal.h"

namespace enhanced_gptcache::store {

/// Thread rule: as rocksdb::DB, except that opening and closing are one thread's.
struct RocksDb {
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::ColumnFamilyHandle* meta = nullptr;
  rocksdb::ColumnFamilyHandle* entries = nullptr;
  rocksdb::ColumnFamilyHandle* directory = nullptr;
  /// What the write-ahead log held when records of it had to be skipped; empty: it was whole.
  std::string damaged_log;
  /// Records of it are lost, and nothing tells which keys they were of.
  bool is_log_unclear = false;
  /// Changes that damaged records of the write-ahead log held, and that are lost.
  std::vector<LostChange> lost;

  RocksDb() = default;
  ~RocksDb();
  RocksDb(const RocksDb&) = delete;
  RocksDb& operator=(const RocksDb&) = delete;
};

/// Bytes of a key, so that their order is the order of keys.
std::string key_bytes(const base::Hash128& key);
/// Requires 16 bytes.
base::Hash128 key_of(std::string_view bytes);

Error error_of(const rocksdb::Status& status);
Result<void> result_of(const rocksdb::Status& status);
/// Cannot be helped by trying again.
bool is_damage(const rocksdb::Status& status);

/// Makes the database when there is none. A write-ahead log with damaged records loses those records only.
/// `bytes_max`: what its files may come to.
rocksdb::Status open_database(const std::string& folder, uint64_t bytes_max, RocksDb& into);

/// Adds what the files of the folder come to.
void add_file_sizes(const std::string& folder, TableStats& stats);

}  // namespace enhanced_gptcache::store
