// The mirror on disk: filling the cache from it at start, waiting for it, reporting on it.

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <span>
#include <thread>

#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/keys.h"
#include "cache/storage_table.h"
#include "cache/waiting_vectors.h"
#include "store/hashed_prompts.h"
#include "store/rocks_table.h"
#include "store/vector_codec.h"

namespace enhanced_gptcache::cache {
namespace {

using store::EntryText;

/// The engine's files are larger than the entries in them by its log and by what compaction has not dropped
/// yet; what is left is for that.
constexpr double kEntryShare = 0.8;
/// Loading may hold so many times the cache's limit before the oldest entries are given up.
constexpr size_t kLoadOvershoot = 2;
constexpr size_t kLoadThreadsMax = 8;
/// What waits for the disk may take this part of the cache's limit on top of it.
constexpr size_t kQueueShare = 16;
constexpr size_t kQueueBytesMin = size_t{4} << 20U;

size_t record_bytes_max(const Options& options) {
  if (options.storage.path.empty()) return SIZE_MAX;
  return static_cast<size_t>(static_cast<double>(options.storage.bytes_max) * kEntryShare);
}

size_t load_threads() { return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kLoadThreadsMax); }

/// With what it is sorted by: asking a million records for it in turn is a million waits for memory.
struct Loaded {
  int64_t created_ms = 0;
  RecordPtr record;
};

bool is_older(const Loaded& a, const Loaded& b) { return a.created_ms < b.created_ms; }

/// Entries come from the disk in the order of their keys and are filed in that of their age, all over the
/// memory: what the loop needs soon is asked for now.
void prefetch(std::span<const Loaded> records, size_t at) {
  constexpr size_t kObjectAhead = 16, kBytesAhead = 8;
  if (at + kObjectAhead < records.size()) __builtin_prefetch(records[at + kObjectAhead].record.get());
  if (at + kBytesAhead < records.size())
    __builtin_prefetch(records[at + kBytesAhead].record->view().bytes().data());
}

store::EntryLogOptions log_options(const Options& all) {
  const StorageOptions& from = all.storage;
  store::EntryLogOptions options;
  options.queue_bytes_max = std::clamp(all.bytes_max / kQueueShare, kQueueBytesMin, options.queue_bytes_max);
  switch (from.sync) {
    case StorageSync::kAlways:
      options.sync = store::SyncMode::kAlways;
      break;
    case StorageSync::kInterval:
      options.sync = store::SyncMode::kInterval;
      break;
    case StorageSync::kOs:
      options.sync = store::SyncMode::kOs;
      break;
  }
  options.sync_interval_ms = from.sync_interval_ms;
  return options;
}

}  // namespace

/// What the loading threads share.
struct CacheImpl::Loading {
  std::mutex mutex;
  std::vector<Loaded> records;          // guarded by mutex
  std::vector<base::Hash128> unwanted;  // guarded by mutex: keys to remove from disk
  size_t bytes = 0;                     // guarded by mutex
  size_t bytes_max = 0;
  uint64_t outdated = 0, erased = 0;  // guarded by mutex
  WaitingVectors vectors;             // guarded by mutex while loading: Record::place_in_load is in it
};

Result<std::unique_ptr<store::EntryTable>> open_table(const Options& options) {
  base::SecretKey secret{};
  std::memcpy(secret.data(), options.key_bytes.data(), secret.size());
  store::RocksTableOptions table;
  table.folder = options.storage.path + "/entries";
  table.quarantine = options.storage.path + "/quarantine";
  table.owner = base::keyed_hash(secret, "storage owner", {}).hex();
  // A small cache must not pay for the buffers of a large disk.
  table.bytes_max = std::min<uint64_t>(options.storage.bytes_max, options.bytes_max);
  table.accepts_other_keystore = options.storage.accepts_other_keystore;
  if (options.storage.vault != nullptr)
    table.sealer = std::make_shared<const store::EntrySealer>(options.storage.vault, secret);
  EGPTC_TRY(auto opened, store::open_rocks_table(table));
  if (!options.storage.hashes_prompts) return opened;
  // Of any model: the hash is of the request's text.
  const auto keys = std::make_shared<const Keys>(secret, "");
  return store::with_hashed_prompts(
      std::move(opened), [keys](std::string_view canonical) { return keys->hashed_request(canonical); },
      &is_hashed_request);
}

/// Vectors of another model mean nothing to this one; the exact layer still finds such an entry.
bool CacheImpl::has_usable_vector(const store::EntryView& view) const {
  return view.semantic() && embedder_ != nullptr &&
         view.text(EntryText::kModelEpoch) == keys_.model_epoch() &&
         store::vector_length(view.text(EntryText::kEmbedding)) == embedder_->dimensions();
}

/// On several threads at once.
void CacheImpl::take_loaded(Loading& loading, store::EntryBytes bytes, const base::Hash128& key,
                            const base::Hash128& id) const {
  const auto whole = store::EntryView::trusted(bytes.view());
  const bool has_vector = has_usable_vector(whole);
  const std::string_view vector = has_vector ? whole.text(EntryText::kEmbedding) : std::string_view();
  store::EntryBytes packed = store::pack_entry(bytes.view(), keys_.model_epoch(), has_vector);
  // Moving the bytes leaves the view of them valid.
  const RecordPtr record = Record::make(packed.data != nullptr ? std::move(packed) : std::move(bytes), id);
  // Entries of other rules are not served, whatever they are.
  const bool is_outdated =
      record->is_expired(clock_.wall_ms()) || record->view().text(EntryText::kPolicyEpoch) != kPolicyEpoch;
  const bool must_go = is_erased(*record);
  const std::lock_guard lock(loading.mutex);
  if (is_outdated || must_go) {
    ++(must_go ? loading.erased : loading.outdated);
    loading.unwanted.push_back(key);
    return;
  }
  if (has_vector) record->place_in_load = loading.vectors.add(vector);
  loading.bytes += record->bytes() + vector.size();
  loading.records.push_back({record->created_ms(), record});
  if (loading.bytes > loading.bytes_max * kLoadOvershoot) trim_loaded(loading, loading.bytes_max);
}

/// Under the lock: gives up the oldest entries beyond `bytes_max`.
void CacheImpl::trim_loaded(Loading& loading, size_t bytes_max) const {
  auto& records = loading.records;
  std::sort(records.begin(), records.end(), is_older);
  auto first_kept = records.begin();
  for (; first_kept != records.end() && loading.bytes > bytes_max; ++first_kept) {
    const Record& record = *first_kept->record;
    loading.bytes -= record.bytes() + loading.vectors.at(record.place_in_load).size();
    loading.unwanted.push_back(record.exact_key());
  }
  records.erase(records.begin(), first_kept);
  WaitingVectors kept;
  for (const auto& [created_ms, record] : records)
    if (const std::string_view vector = loading.vectors.at(record->place_in_load); !vector.empty())
      record->place_in_load = kept.add(vector);
  loading.vectors = std::move(kept);
}

/// In the order they were created, so that listing and eviction go on as before the restart.
void CacheImpl::file_loaded(Loading& loading) {
  std::sort(loading.records.begin(), loading.records.end(), is_older);
  // A microsecond apart: when they were really used last is not known any more.
  int64_t used_us = clock_.mono_us() - static_cast<int64_t>(loading.records.size());
  for (size_t i = 0; i < loading.records.size(); ++i) {
    prefetch(loading.records, i);
    const RecordPtr& record = loading.records[i].record;
    const bool has_vector = record->place_in_load != kNotInHeap;
    if (record->view().semantic() && !has_vector) ++found_at_start_.exact_only;
    entries_.insert_loaded(record, has_vector, used_us++);
  }
}

/// Graphs come back from their snapshots. What has none is found by looking at each entry until it is built.
void CacheImpl::index_loaded(const Loading& loading) {
  const auto vector_of = [&](uint64_t label, std::vector<float>& vector) {
    const std::string_view bytes = loading.vectors.at(reinterpret_cast<const Record*>(label)->place_in_load);
    vector = store::unit_vector(store::read_vector(bytes));
    return !vector.empty();
  };
  const std::lock_guard lock(building_.mutex);
  const std::vector<std::shared_ptr<Partition>> partitions = entries_.partitions_larger_than(0);
  for (const std::shared_ptr<Partition>& partition : partitions)
    if (partition->size() > options().graph_from)
      graphs_.restore(*partition, entries_, vector_of, load_threads());
  for (const auto& [created_ms, record] : loading.records)
    if (record->is_indexed) entries_.add_rest(*record, vector_of);
  for (const std::shared_ptr<Partition>& partition : partitions)
    if (partition->unsettled() > 0) building_.partitions.push_back(partition);
}

Result<void> CacheImpl::open_storage(std::unique_ptr<store::EntryTable> table) {
  const Options options = this->options();
  const int64_t started_us = base::system_clock().mono_us();
  auto log = std::make_unique<store::EntryLog>(std::move(table), log_options(options));
  Loading loading;
  loading.bytes_max = options.bytes_max;
  EGPTC_TRY(const store::LoadReport report,
            log->load(load_threads(),
                      [&](store::EntryBytes bytes, const base::Hash128& key, const base::Hash128& id) {
                        take_loaded(loading, std::move(bytes), key, id);
                      }));
  const size_t count = loading.records.size();
  file_loaded(loading);
  const int64_t indexing_us = base::system_clock().mono_us();
  index_loaded(loading);
  loading.records.clear();
  loading.vectors = {};
  const int64_t indexed_us = base::system_clock().mono_us();
  log_ = std::move(log);
  entries_.attach(log_.get());
  for (const base::Hash128& key : loading.unwanted) log_->put({key, {}, nullptr});
  evict(options);
  entries_.evict_tenants(quota_of(options));
  const store::TableStats found = log_->stats().table;
  found_at_start_.loaded = count;
  found_at_start_.damaged = report.damaged;
  found_at_start_.outdated = loading.outdated;
  found_at_start_.tampered = report.tampered;
  found_at_start_.keyless = report.keyless;
  found_at_start_.locked = report.locked;
  found_at_start_.erased = loading.erased;
  found_at_start_.load_ms = static_cast<uint64_t>((base::system_clock().mono_us() - started_us) / 1000);
  if (found.was_replaced)
    found_at_start_.problem = "the stored entries could not be opened at start and were put aside";
  else if (found.log_was_damaged)
    found_at_start_.problem = "the write-ahead log was damaged at start";
  else if (report.damaged > 0)
    found_at_start_.problem = fmt::format("{} damaged entries were left out at start", report.damaged);
  else if (vault_ != nullptr && vault_->subjects() != nullptr && vault_->subjects()->damaged() > 0)
    found_at_start_.problem = fmt::format(
        "{} keys of the keystore are damaged, {} entries on disk cannot be read: bring back a good copy of "
        "it",
        vault_->subjects()->damaged(), report.locked);
  else if (erasures_ != nullptr && erasures_->damaged() > 0)
    found_at_start_.problem = "the erasure ledger is damaged: what its damaged lines erased is not known";
  log_->start([this](const store::EntryLog::Relief& relief) { return entries_.refill_log(relief); },
              report.needs_replacing);
  base::log_info("storage: {} entries ({} MB) in {} ms; {} damaged, {} out of date, {} for exact match only",
                 count, report.bytes >> 20U, found_at_start_.load_ms, report.damaged, loading.outdated,
                 found_at_start_.exact_only);
  if (const GraphSnapshotStats graphs = graphs_.stats(); graphs.restored > 0)
    base::log_info("storage: {} graphs of {} entries restored in {} ms", graphs.restored,
                   graphs.restored_rows, (indexed_us - indexing_us) / 1000);
  if (report.keyless + loading.erased > 0)
    base::log_info("storage: {} entries left out because they were erased, {} because their key was",
                   loading.erased, report.keyless);
  // What was written without a seal, or under an older key, is written again in the background.
  const size_t keys_wanted = vault_ != nullptr && vault_->encrypts() ? 1 : 0;
  const bool is_mixed = report.to_reseal > 0 || log_->seal_keys().size() > keys_wanted ||
                        (keys_wanted > 0 && vault_->accepts_plain());
  if (is_mixed) begin_reseal();
  return {};
}

void CacheImpl::evict(const Options& options) {
  entries_.evict_to(options.bytes_max, record_bytes_max(options), options.partitions_max);
}

Result<void> CacheImpl::commit() { return log_ == nullptr ? Result<void>() : log_->commit(); }

void CacheImpl::commit_async(CommitCallback done) {
  if (log_ == nullptr) return done({});
  log_->commit(std::move(done));
}

Result<void> CacheImpl::checkpoint(const std::string& folder) {
  if (log_ == nullptr) return fail(ErrorCode::kUnsupported, "this cache has no storage");
  return log_->checkpoint(folder);
}

StorageStats CacheImpl::storage_stats() const {
  StorageStats stats = found_at_start_;
  if (log_ == nullptr) return stats;
  describe_graphs(stats);
  const store::LogStats log = log_->stats();
  stats.is_enabled = true;
  stats.is_failing = log.is_failing;
  if (!log.problem.empty()) stats.problem = log.problem;
  stats.stored = log.stored;
  stats.removed = log.removed;
  stats.written_bytes = log.written_bytes;
  stats.batches = log.batches;
  stats.syncs = log.syncs;
  stats.errors = log.errors;
  stats.rebuilds = log.replacements;
  stats.keys_refused = log.table.keys_refused;
  stats.refused = counters_.sum(Count::kStorageRefused);
  stats.waiting = log.waiting;
  stats.waiting_bytes = log.waiting_bytes;
  stats.disk_bytes = log.table.disk_bytes;
  stats.log_bytes = log.table.log_bytes;
  stats.engine_memory_bytes = log.table.memory_bytes;
  stats.files = log.table.files;
  stats.compactions_running = log.table.compactions_running;
  stats.compaction_pending_bytes = log.table.compaction_pending_bytes;
  return stats;
}

}  // namespace enhanced_gptcache::cache
