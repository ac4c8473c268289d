#pragma once
// The way of entries to disk: changes are queued in the order they happened in memory, one thread writes
// them in batches, and whoever needs to know that a change is durable asks for a commit. Callers that wait
// at the same time share one write and one fsync (group commit). What the table refuses is tried once more at
// once after EntryTable::recover(): the engine keeps errors of the past. When that fails too, the queue is
// kept and tried again until it works; meanwhile accepts() is false and nothing new is stored.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/entry_table.h"

namespace enhanced_gptcache::store {

enum class SyncMode {
  kAlways,    ///< a commit waits for fsync: survives a loss of power
  kInterval,  ///< a commit survives the process; fsync every sync_interval_ms
  kOs,        ///< a commit survives the process; the system writes when it likes
};

struct EntryLogOptions {
  SyncMode sync = SyncMode::kInterval;
  int64_t sync_interval_ms = 1000;
  int64_t linger_ms = 50;               ///< how long changes wait for company when nobody waits for them
  int64_t settle_interval_ms = 10'000;  ///< between two EntryTable::settle
  int64_t retry_interval_ms = 1000;  ///< between two recoveries at least, and attempts while the disk fails
  size_t queue_changes_max = 65'536;
  size_t queue_bytes_max = size_t{64} << 20U;
};

struct LogStats {
  bool is_failing = false;
  std::string problem;  ///< why, while it is failing; else empty
  uint64_t stored = 0, removed = 0, written_bytes = 0, batches = 0, syncs = 0;
  uint64_t errors = 0;        ///< attempts that failed
  uint64_t replacements = 0;  ///< damaged tables that were rebuilt from memory
  uint64_t waiting = 0, waiting_bytes = 0;
  TableStats table;
};

/// Thread rule: any thread, unless said otherwise.
class EntryLog {
 public:
  using Done = std::function<void(Result<void>)>;
  /// Writes what was put if that has become much. kIo and the like: the refill starts again later.
  using Relief = std::function<Result<void>()>;
  /// Puts everything that is in memory into the log again: put() under whatever keeps it in step with
  /// removals, and asks for relief between two, outside of that. Called on the log's own thread, when a
  /// damaged table was replaced by an empty one; again when it has failed.
  using Refill = std::function<Result<void>(const Relief& relief)>;

  EntryLog(std::unique_ptr<EntryTable> table, const EntryLogOptions& options);
  /// Writes what waits, once, and syncs.
  ~EntryLog();
  EntryLog(const EntryLog&) = delete;
  EntryLog& operator=(const EntryLog&) = delete;

  /// EntryTable::load; before start().
  Result<LoadReport> load(size_t threads, const EntryTable::Take& take) {
    return table_->load(threads, take);
  }
  /// Starts the thread. `needs_replacing`: as load() reported; then `refill` is asked first.
  void start(Refill refill, bool needs_replacing);

  /// True while new entries are taken: the disk works and the queue has room. Two atomic loads.
  bool accepts() const;
  /// Why accepts() is false, as an error a caller can be given.
  Error refusal() const;
  /// Queues a change; never waits for the disk. Changes of one key must be queued in their order.
  void put(EntryChange change);
  /// `done` is called once, on the log's thread: everything queued so far is durable, or kUnavailable.
  /// It must be quick and must not destroy the log.
  void commit(Done done);
  /// The same, blocking.
  Result<void> commit();

  /// commit(), then a consistent copy of the table.
  Result<void> checkpoint(const std::string& folder);
  void clear_quarantine() { table_->clear_quarantine(); }
  /// commit(), then EntryTable::purge and finish_reseal. They wait for the disk. A purge empties the
  /// quarantine, too, whatever becomes of the rest.
  Result<void> purge(std::span<const base::Hash128> keys);
  Result<void> finish_reseal(const base::Hash128& key);
  std::vector<base::Hash128> seal_keys() const { return table_->seal_keys(); }
  size_t waiting_bytes() const { return waiting_bytes_.load(std::memory_order_relaxed); }
  LogStats stats() const;

 private:
  void run();
  void wait(std::unique_lock<std::mutex>& lock);
  bool write_batch(std::unique_lock<std::mutex>& lock);
  bool may_recover() const;
  Result<void> recover_from(const std::string& problem);
  Result<void> mended(const std::function<Result<void>()>& step);
  Result<void> once_more(const std::function<Result<void>()>& step);
  void keep_house(std::unique_lock<std::mutex>& lock);
  void put_back(std::vector<EntryChange> batch);
  void failed(std::vector<EntryChange> batch, const Error& error);
  void try_again(std::unique_lock<std::mutex>& lock);
  Result<void> replace_table(std::unique_lock<std::mutex>& lock);
  Result<void> relieve();
  void count(const std::vector<EntryChange>& batch);

  const std::unique_ptr<EntryTable> table_;
  const EntryLogOptions options_;
  Refill refill_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  std::vector<EntryChange> queue_;
  std::vector<Done> waiters_;
  std::string problem_;
  bool is_stopping_ = false;
  bool needs_refill_ = false;
  bool needs_replacing_ = false;  // before the refill
  std::string kept_error_;        // what another thread's work with the table failed with; else empty

  // The log's thread only.
  int64_t synced_us_ = 0, settled_us_ = 0, tried_us_ = 0;
  bool is_unsynced_ = false, is_unsettled_ = false;

  std::atomic<bool> is_failing_{false};
  std::atomic<uint64_t> waiting_{0}, waiting_bytes_{0};
  std::atomic<uint64_t> stored_{0}, removed_{0}, written_bytes_{0}, batches_{0}, syncs_{0}, errors_{0},
      replacements_{0};
  std::thread thread_;
};

}  // namespace enhanced_gptcache::store
