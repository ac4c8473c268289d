#include "store/rocks_db.h"

#include <fmt/format.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/log.h"
#include "store/rocks_precheck.h"
#include "store/rocks_salvage.h"
#include "store/rocks_spare.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kWriteBufferBytesMin = uint64_t{1} << 20U;
constexpr uint64_t kWriteBufferBytesMax = uint64_t{32} << 20U;
constexpr size_t kBlockCacheBytes = size_t{8} << 20U;  // entries are read at start only
constexpr size_t kBlockBytes = size_t{4} << 10U;       // what one damaged bit can cost

/// EntryLog tries again by itself (RocksTable::recover). Were RocksDB to recover from a full disk on a thread
/// of its own as well, Resume() would answer Busy, and closing the handle would wait for that thread, which
/// waits for a flush that a closing database no longer starts: neither ever ends.
class OnlyWeRecover final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

/// RocksDB's own log goes to ours. Not to a file of its own: on a full disk that logger, as Debian builds it,
/// ends the process at the second message.
class EngineLog final : public rocksdb::Logger {
 public:
  EngineLog() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char line[512];
    std::vsnprintf(line, sizeof line, format, arguments);
    base::log_warning("storage engine: {}", line);
  }
};

/// A small part of what the files may come to, for each of them.
uint64_t write_buffer_bytes(uint64_t bytes_max) {
  return std::clamp(bytes_max / 32, kWriteBufferBytesMin, kWriteBufferBytesMax);
}

rocksdb::DBOptions database_options(const std::string& folder, uint64_t bytes_max) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_total_wal_size = 2 * write_buffer_bytes(bytes_max);
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  options.bytes_per_sync = 1 << 20;
  options.atomic_flush = true;
  options.max_manifest_file_size = uint64_t{4} << 20U;
  options.info_log = std::make_shared<EngineLog>();
  options.stats_dump_period_sec = 0;
  options.persist_stats_to_disk = false;
  options.listeners.push_back(std::make_shared<OnlyWeRecover>());
  options.listeners.push_back(make_spare_keeper(folder));
  return options;
}

rocksdb::ColumnFamilyOptions family_options(uint64_t bytes_max, rocksdb::CompressionType compression) {
  static const std::shared_ptr<rocksdb::Cache> block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = block_cache;
  table.block_size = kBlockBytes;
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = write_buffer_bytes(bytes_max);
  options.target_file_size_base = options.write_buffer_size;
  options.max_bytes_for_level_base = 4 * options.write_buffer_size;
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

rocksdb::Status open_with(rocksdb::WALRecoveryMode mode, const std::string& folder, uint64_t bytes_max,
                          RocksDb& into) {
  rocksdb::DBOptions options = database_options(folder, bytes_max);
  options.wal_recovery_mode = mode;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, family_options(bytes_max, rocksdb::kNoCompression)},
      {"entries", family_options(bytes_max, rocksdb::kLZ4Compression)},
      {"directory", family_options(bytes_max, rocksdb::kNoCompression)}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, folder, families, &handles, &db);
  if (!status.ok()) return status;
  into.db.reset(db);
  into.meta = handles[0];
  into.entries = handles[1];
  into.directory = handles[2];
  return status;
}

}  // namespace

RocksDb::~RocksDb() {
  if (db == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : {meta, entries, directory})
    db->DestroyColumnFamilyHandle(family);
  if (const rocksdb::Status closed = db->Close(); !closed.ok())
    base::log_warning("storage: closing: {}", closed.ToString());
}

std::string key_bytes(const base::Hash128& key) {
  // Big-endian, so that byte order is number order.
  const uint64_t words[2] = {__builtin_bswap64(key.high), __builtin_bswap64(key.low)};
  return {reinterpret_cast<const char*>(words), sizeof words};
}

base::Hash128 key_of(std::string_view bytes) {
  uint64_t words[2];
  std::memcpy(words, bytes.data(), sizeof words);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

Result<void> result_of(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(error_of(status));
}

bool is_damage(const rocksdb::Status& status) {
  if (status.ok() || status.IsIOError()) return status.IsPathNotFound();
  return status.IsCorruption() || status.IsNotFound() || status.IsInvalidArgument() ||
         status.IsNotSupported() || status.IsPathNotFound();
}

Error error_of(const rocksdb::Status& status) {
  if (is_damage(status)) return {ErrorCode::kCorrupt, status.ToString()};
  const bool is_locked = status.IsIOError() && status.ToString().find("lock") != std::string::npos;
  if (is_locked)
    return {ErrorCode::kUnavailable, "another process, or this one, has it open: " + status.ToString()};
  return {ErrorCode::kIo, status.ToString()};
}

rocksdb::Status open_database(const std::string& folder, uint64_t bytes_max, RocksDb& into) {
  rocksdb::Status status = check_tables(folder);
  if (!status.ok()) return status;
  // A record cut at the very end is what a kill leaves behind and was never acknowledged.
  status = open_with(rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords, folder, bytes_max, into);
  if (status.ok() || !status.IsCorruption()) return status;
  const std::string first = status.ToString();
  std::string log = read_logs(folder);
  status = open_with(rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords, folder, bytes_max, into);
  if (!status.ok()) return status;
  into.damaged_log = std::move(log);
  base::log_error("storage: the write-ahead log is damaged, what its damaged records held is lost: {}",
                  first);
  return status;
}

void add_file_sizes(const std::string& folder, TableStats& stats) {
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    std::error_code gone;
    const uint64_t bytes = file->file_size(gone);
    if (gone) continue;
    stats.disk_bytes += bytes;
    ++stats.files;
    if (file->path().extension() == ".log") stats.log_bytes += bytes;
  }
}

}  // namespace enhanced_gptcache::store
