#include "store/rocks_table.h"

#include <fmt/format.h>
#include <rocksdb/utilities/checkpoint.h>

#include <atomic>
#include <filesystem>
#include <shared_mutex>

#include "base/clock.h"
#include "base/log.h"
#include "store/rocks_db.h"
#include "store/rocks_load.h"
#include "store/rocks_mark.h"
#include "store/rocks_migrate.h"
#include "store/rocks_purge.h"
#include "store/rocks_seal.h"
#include "store/rocks_spare.h"
#include "store/rocks_wal.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOwnerKey = "owner";
constexpr const char* kProbeKey = "probe";
constexpr uint64_t kRefusalsPerLine = 1000;  // of the log

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  const bool existed = fs::exists(path, error);
  fs::create_directories(path, error);
  if (!existed && !error) fs::permissions(path, fs::perms::owner_all, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{} cannot be made: {}", path, error.message()));
  return {};
}

class RocksTable final : public EntryTable {
 public:
  explicit RocksTable(RocksTableOptions options)
      : options_(std::move(options)),
        seals_(options_.sealer == nullptr ? nullptr : options_.sealer->shared_vault(),
               options_.schema_version, options_.accepts_other_keystore) {}
  ~RocksTable() override {
    if (is_open()) close();
  }

  Result<void> open();

  Result<void> write(std::span<const EntryChange> changes, bool is_synced) override;
  Result<void> sync() override;
  Result<void> settle() override;
  Result<void> recover() override;
  Result<void> replace() override;
  Result<LoadReport> load(size_t threads, const Take& take) override;
  Result<void> checkpoint(const std::string& folder) override;
  Result<void> purge(std::span<const base::Hash128> keys) override;
  Result<void> finish_reseal(const base::Hash128& key) override;
  std::vector<base::Hash128> seal_keys() const override { return seals_.keys(); }
  void clear_quarantine() override;
  TableStats stats() const override;

 private:
  std::string mark_path() const { return options_.folder + ".mark"; }
  rocksdb::Status open_whole(RocksDb& into) const;
  void mend(const Mark& mark, RocksDb& into) const;
  bool is_open() const { return db_ != nullptr && db_->db != nullptr; }
  Result<void> check_open() const;
  Result<void> open_or_begin();
  Result<void> reopen();
  Result<void> put_aside();
  Result<void> check_meta();
  void close();
  Result<void> sync_keystore() const;
  Result<void> add_change(const EntryChange& change, rocksdb::WriteBatch& batch);

  const RocksTableOptions options_;
  RocksSeals seals_;
  mutable std::shared_mutex mutex_;  // shared by those who use db_ beside the writing thread
  std::unique_ptr<RocksDb> db_;      // replaced by the writing thread under mutex_
  Mark mark_;                        // the writing thread's own: the newest one written
  std::atomic<uint64_t> keys_refused_{0};
  bool was_replaced_ = false;
  bool log_was_damaged_ = false;
};

Result<void> RocksTable::open() {
  EGPTC_TRY_VOID(open_or_begin());
  EGPTC_TRY_VOID(check_meta());
  keep_missing_spares(*db_, options_.folder);
  return sync();  // opening started another manifest
}

Result<void> RocksTable::open_or_begin() {
  EGPTC_TRY_VOID(make_folder(options_.folder));
  auto fresh = std::make_unique<RocksDb>();
  rocksdb::Status status = open_whole(*fresh);
  if (!status.ok() && is_damage(status)) {
    base::log_error("storage: {} cannot be opened, it is put aside and an empty one begins: {}",
                    options_.folder, status.ToString());
    was_replaced_ = true;
    fresh = std::make_unique<RocksDb>();
    EGPTC_TRY_VOID(put_aside());
    status = open_database(options_.folder, options_.bytes_max, *fresh);
  }
  if (!status.ok()) return fail(error_of(status));
  const std::unique_lock lock(mutex_);
  db_ = std::move(fresh);
  return {};
}

/// Not an older state than was last synced. Damage that its copies and its log's records can make good is
/// made good first; a log for which that cannot be done is judged entry by entry when it is loaded.
rocksdb::Status RocksTable::open_whole(RocksDb& into) const {
  const Mark mark = read_mark(mark_path());
  mend(mark, into);
  if (!is_manifest_whole(options_.folder, mark))
    return rocksdb::Status::Corruption("its manifest has changed since it was last synced");
  const rocksdb::Status status = open_database(options_.folder, options_.bytes_max, into);
  if (!status.ok() || !into.damaged_log.empty() || into.db->GetLatestSequenceNumber() >= mark.sequence)
    return status;
  return rocksdb::Status::Corruption("it opens as an older state than was last synced");
}

/// Only under the lock that RocksDB will take: another process may be writing these files.
void RocksTable::mend(const Mark& mark, RocksDb& into) const {
  rocksdb::Env* env = rocksdb::Env::Default();
  rocksdb::FileLock* lock = nullptr;
  if (!env->LockFile(options_.folder + "/LOCK", &lock).ok()) return;
  mend_from_spares(options_.folder, mark);
  MendedLogs mended = mend_logs(options_.folder, mark.sequence);
  into.lost = std::move(mended.lost);
  into.is_log_unclear = mended.is_unclear;
  env->UnlockFile(lock);
}

/// The newest one only: it is for people to look at, not for us.
Result<void> RocksTable::put_aside() {
  clear_quarantine();
  remove_mark(mark_path());
  remove_spares(options_.folder);
  EGPTC_TRY_VOID(make_folder(options_.quarantine));
  const std::string to = fmt::format("{}/entries-{}", options_.quarantine, base::system_clock().wall_ms());
  std::error_code error;
  if (!fs::exists(options_.folder, error)) return make_folder(options_.folder);
  fs::rename(options_.folder, to, error);
  if (error)
    return fail(ErrorCode::kIo,
                fmt::format("{} cannot be moved to {}: {}", options_.folder, to, error.message()));
  base::log_error("storage: what was damaged is in {}", to);
  return make_folder(options_.folder);
}

Result<void> RocksTable::check_meta() {
  rocksdb::DB& db = *db_->db;
  std::string schema;
  std::string owner;
  const rocksdb::Status found = db.Get({}, db_->meta, kSchemaKey, &schema);
  if (found.IsNotFound()) {
    rocksdb::WriteBatch batch;
    batch.Put(db_->meta, kSchemaKey, std::to_string(options_.schema_version));
    batch.Put(db_->meta, kOwnerKey, options_.owner);
    EGPTC_TRY_VOID(result_of(db.Write({}, &batch)));
    EGPTC_TRY_VOID(seals_.check(*db_, options_.folder, true));
    return seals_.begin(*db_, true);
  }
  EGPTC_TRY_VOID(result_of(found));
  EGPTC_TRY_VOID(result_of(db.Get({}, db_->meta, kOwnerKey, &owner)));
  const auto written = static_cast<uint32_t>(std::strtoul(schema.c_str(), nullptr, 10));
  const uint32_t version = written & ~kSealedSchemaBit;
  if (version == 0 || version > options_.schema_version) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} has schema version {}, this build knows up to {}: use the version that wrote "
                            "it, or another storage.path",
                            options_.folder, schema, options_.schema_version));
  }
  if (owner != options_.owner) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} was written under another instance key: bring that key back, or use another "
                            "storage.path",
                            options_.folder));
  }
  EGPTC_TRY_VOID(seals_.check(*db_, options_.folder, false));
  const uint32_t sealed_bit = seals_.keys().empty() ? 0 : kSealedSchemaBit;
  EGPTC_TRY_VOID(migrate_table(*db_, options_, version, sealed_bit));
  return seals_.begin(*db_, false);
}

Result<void> RocksTable::check_open() const {
  if (is_open()) return {};
  return fail(ErrorCode::kUnavailable, options_.folder + " is not open");
}

Result<LoadReport> RocksTable::load(size_t threads, const Take& take) {
  EGPTC_TRY_VOID(check_open());
  log_was_damaged_ = !db_->damaged_log.empty();
  auto report = load_entries(*db_, options_.sealer.get(), threads, take);
  db_->damaged_log = {};
  db_->lost = {};
  return report;
}

Result<void> RocksTable::write(std::span<const EntryChange> changes, bool is_synced) {
  EGPTC_TRY_VOID(check_open());
  rocksdb::WriteBatch batch;
  if (options_.sealer != nullptr) seals_.add_key(*db_, batch);
  for (const EntryChange& change : changes) EGPTC_TRY_VOID(add_change(change, batch));
  if (options_.sealer != nullptr) seals_.add_key(*db_, batch);  // another may have become current meanwhile
  rocksdb::WriteOptions options;
  options.sync = is_synced;
  if (is_synced) EGPTC_TRY_VOID(sync_keystore());
  return result_of(db_->db->Write(options, &batch));
}

Result<void> RocksTable::add_change(const EntryChange& change, rocksdb::WriteBatch& batch) {
  const std::string key = key_bytes(change.key);
  bool is_removal = change.is_removal();
  std::string sealed;
  if (!is_removal && options_.sealer != nullptr) {
    auto done = options_.sealer->seal(change.key, change.id, change.bytes);
    // One tenant's limit is not to stop the others: the entry lives in memory alone, the one before it goes.
    is_removal = !done && done.error().code == ErrorCode::kOverloaded;
    if (!done && !is_removal) return fail(std::move(done).error());
    if (is_removal && keys_refused_.fetch_add(1, std::memory_order_relaxed) % kRefusalsPerLine == 0)
      base::log_warning("storage: an entry is not written: {}", done.error().message);
    if (done) sealed = std::move(*done);
  }
  if (is_removal) {
    batch.Delete(db_->entries, key);
    batch.Delete(db_->directory, key);
    return {};
  }
  const std::string_view bytes = options_.sealer == nullptr ? change.bytes : std::string_view(sealed);
  batch.Put(db_->entries, key, rocksdb::Slice(bytes.data(), bytes.size()));
  batch.Put(db_->directory, key, key_bytes(change.id));
  return {};
}

/// Data keys are on disk before what they seal is: an entry without its key is lost.
Result<void> RocksTable::sync_keystore() const {
  vault::SubjectKeys* keys = options_.sealer == nullptr ? nullptr : options_.sealer->vault().subjects();
  return keys == nullptr ? Result<void>() : keys->sync();
}

Result<void> RocksTable::purge(std::span<const base::Hash128> keys) {
  const std::shared_lock lock(mutex_);
  EGPTC_TRY_VOID(check_open());
  EGPTC_TRY_VOID(store::purge(*db_, options_.folder, keys));
  drop_dead_spares(options_.folder);
  return {};
}

Result<void> RocksTable::finish_reseal(const base::Hash128& key) {
  const std::shared_lock lock(mutex_);
  EGPTC_TRY_VOID(check_open());
  EGPTC_TRY_VOID(store::purge(*db_, options_.folder, {}));
  return seals_.finish(*db_, key);
}

Result<void> RocksTable::sync() {
  EGPTC_TRY_VOID(check_open());
  EGPTC_TRY_VOID(sync_keystore());
  const uint64_t sequence = db_->db->GetLatestSequenceNumber();
  EGPTC_TRY_VOID(result_of(db_->db->SyncWAL()));
  mark_ = make_mark(options_.folder, sequence, mark_);
  write_mark(mark_path(), mark_);
  return {};
}

Result<void> RocksTable::settle() {
  EGPTC_TRY_VOID(sync());
  rocksdb::FlushOptions options;
  options.wait = false;
  options.allow_write_stall = false;
  return result_of(db_->db->Flush(options, {db_->meta, db_->entries, db_->directory}));
}

/// Leaves no log behind, so that the next start reads files only.
void RocksTable::close() {
  rocksdb::FlushOptions options;
  options.allow_write_stall = true;
  Result<void> done = sync();
  if (done) done = result_of(db_->db->Flush(options, {db_->meta, db_->entries, db_->directory}));
  if (done) done = sync();
  if (!done) base::log_warning("storage: closing: {}", done.error().message);
}

Result<void> RocksTable::recover() {
  // Not by Resume(): a log whose append has failed takes no other, and Debian's RocksDB, built with
  // assertions, ends the process at the attempt. Only another handle has another log.
  EGPTC_TRY_VOID(reopen());
  rocksdb::WriteOptions synced;
  synced.sync = true;
  return result_of(db_->db->Put(synced, db_->meta, kProbeKey, ""));
}

Result<void> RocksTable::reopen() {
  const std::unique_lock lock(mutex_);
  db_.reset();
  auto again = std::make_unique<RocksDb>();
  EGPTC_TRY_VOID(result_of(open_database(options_.folder, options_.bytes_max, *again)));
  db_ = std::move(again);
  return {};
}

Result<void> RocksTable::replace() {
  {
    const std::unique_lock lock(mutex_);
    db_.reset();
  }
  EGPTC_TRY_VOID(put_aside());
  EGPTC_TRY_VOID(open_or_begin());
  return check_meta();
}

Result<void> RocksTable::checkpoint(const std::string& folder) {
  const std::shared_lock lock(mutex_);
  EGPTC_TRY_VOID(check_open());
  rocksdb::Checkpoint* made = nullptr;
  EGPTC_TRY_VOID(result_of(rocksdb::Checkpoint::Create(db_->db.get(), &made)));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  return result_of(checkpoint->CreateCheckpoint(folder));
}

void RocksTable::clear_quarantine() {
  std::error_code error;
  fs::remove_all(options_.quarantine, error);
  if (error) base::log_warning("storage: {} cannot be emptied: {}", options_.quarantine, error.message());
}

TableStats RocksTable::stats() const {
  TableStats stats;
  stats.was_replaced = was_replaced_;
  stats.keys_refused = keys_refused_;
  add_file_sizes(options_.folder, stats);
  const std::shared_lock lock(mutex_);
  if (!is_open()) return stats;
  stats.log_was_damaged = log_was_damaged_;
  for (rocksdb::ColumnFamilyHandle* family : {db_->entries, db_->directory}) {
    uint64_t value = 0;
    if (db_->db->GetIntProperty(family, rocksdb::DB::Properties::kSizeAllMemTables, &value))
      stats.memory_bytes += value;
    if (db_->db->GetIntProperty(family, rocksdb::DB::Properties::kEstimatePendingCompactionBytes, &value))
      stats.compaction_pending_bytes += value;
  }
  uint64_t running = 0;
  if (db_->db->GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions, &running))
    stats.compactions_running = running;
  return stats;
}

}  // namespace

Result<std::unique_ptr<EntryTable>> open_rocks_table(const RocksTableOptions& options) {
  auto table = std::make_unique<RocksTable>(options);
  EGPTC_TRY_VOID(table->open());
  return std::unique_ptr<EntryTable>(std::move(table));
}

}  // namespace enhanced_gptcache::store
