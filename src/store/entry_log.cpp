#include "store/entry_log.h"

#include <future>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace enhanced_gptcache::store {
namespace {

/// What a refill may have waiting.
constexpr uint64_t kRefillBytes = uint64_t{8} << 20U;

int64_t now_us() { return base::system_clock().mono_us(); }

uint64_t bytes_of(const std::vector<EntryChange>& changes) {
  uint64_t bytes = 0;
  for (const EntryChange& change : changes) bytes += change.bytes.size();
  return bytes;
}

void answer(std::vector<EntryLog::Done> waiters, const Result<void>& outcome) {
  for (const EntryLog::Done& done : waiters) done(outcome);
}

}  // namespace

EntryLog::EntryLog(std::unique_ptr<EntryTable> table, const EntryLogOptions& options)
    : table_(std::move(table)), options_(options) {}

void EntryLog::start(Refill refill, bool needs_replacing) {
  refill_ = std::move(refill);
  needs_refill_ = needs_replacing_ = needs_replacing;
  synced_us_ = settled_us_ = now_us();
  thread_ = std::thread([this] { run(); });
}

EntryLog::~EntryLog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool EntryLog::accepts() const {
  return !is_failing_.load(std::memory_order_relaxed) &&
         waiting_.load(std::memory_order_relaxed) < options_.queue_changes_max &&
         waiting_bytes_.load(std::memory_order_relaxed) < options_.queue_bytes_max;
}

Error EntryLog::refusal() const {
  const std::lock_guard lock(mutex_);
  if (!problem_.empty())
    return {ErrorCode::kUnavailable, "storage cannot be written, nothing is stored for now: " + problem_};
  return {ErrorCode::kOverloaded, "storage is behind: too many entries wait to be written; try again later"};
}

void EntryLog::put(EntryChange change) {
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    is_first = queue_.empty();
    waiting_bytes_.fetch_add(change.bytes.size(), std::memory_order_relaxed);
    queue_.push_back(std::move(change));
    waiting_.store(queue_.size(), std::memory_order_relaxed);
  }
  if (is_first) wake_.notify_one();
}

void EntryLog::commit(Done done) {
  {
    const std::lock_guard lock(mutex_);
    waiters_.push_back(std::move(done));
  }
  wake_.notify_one();
}

Result<void> EntryLog::commit() {
  std::promise<Result<void>> outcome;
  commit([&outcome](Result<void> result) { outcome.set_value(std::move(result)); });
  return outcome.get_future().get();
}

/// After a commit, and a second time when the log's thread has recovered the table in between.
Result<void> EntryLog::once_more(const std::function<Result<void>()>& step) {
  EGPTC_TRY_VOID(commit());
  Result<void> done = step();
  if (done || done.error().code != ErrorCode::kIo) return done;
  {
    const std::lock_guard lock(mutex_);
    kept_error_ = done.error().message;
  }
  EGPTC_TRY_VOID(commit());
  return step();
}

Result<void> EntryLog::checkpoint(const std::string& folder) {
  return once_more([&] { return table_->checkpoint(folder); });
}

Result<void> EntryLog::purge(std::span<const base::Hash128> keys) {
  table_->clear_quarantine();
  auto done = once_more([&] { return table_->purge(keys); });
  // A table that was put aside meanwhile may hold it, too.
  table_->clear_quarantine();
  return done;
}

Result<void> EntryLog::finish_reseal(const base::Hash128& key) {
  return once_more([&] { return table_->finish_reseal(key); });
}

/// Until somebody waits for a commit, or changes have had time to gather, or it is time to keep house.
void EntryLog::wait(std::unique_lock<std::mutex>& lock) {
  const auto is_urgent = [this] { return is_stopping_ || !waiters_.empty(); };
  const auto ms = [](int64_t count) { return std::chrono::milliseconds(count); };
  if (is_failing_) {
    wake_.wait_for(lock, ms(options_.retry_interval_ms), is_urgent);
    return;
  }
  if (needs_refill_) return;
  const auto has_work = [&] { return is_urgent() || !queue_.empty(); };
  wake_.wait_for(lock, ms(std::min<int64_t>(options_.sync_interval_ms, 500)), has_work);
  if (!queue_.empty()) wake_.wait_for(lock, ms(options_.linger_ms), is_urgent);
}

void EntryLog::run() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    wait(lock);
    if (needs_refill_ && !is_failing_) {
      if (auto done = replace_table(lock); !done) failed({}, done.error());
    }
    if (is_failing_)
      try_again(lock);
    else if (write_batch(lock))
      keep_house(lock);
  }
  // The last chance: what waits is written even if the disk failed a moment ago.
  if (write_batch(lock) && is_unsettled_) {
    lock.unlock();
    auto done = table_->sync();
    if (done) done = table_->settle();
    if (!done) base::log_error("storage: at the end: {}", done.error().message);
    lock.lock();
  }
  answer(std::exchange(waiters_, {}), fail(ErrorCode::kUnavailable, "storage is closing"));
}

void EntryLog::count(const std::vector<EntryChange>& batch) {
  uint64_t removed = 0;
  for (const EntryChange& change : batch) removed += change.is_removal() ? 1 : 0;
  stored_.fetch_add(batch.size() - removed, std::memory_order_relaxed);
  removed_.fetch_add(removed, std::memory_order_relaxed);
  written_bytes_.fetch_add(bytes_of(batch), std::memory_order_relaxed);
  if (!batch.empty()) batches_.fetch_add(1, std::memory_order_relaxed);
}

/// Of the log's thread, without the lock. At most once per interval, and not while try_again() does it.
bool EntryLog::may_recover() const {
  return !is_failing_ && now_us() - tried_us_ >= options_.retry_interval_ms * 1000;
}

Result<void> EntryLog::recover_from(const std::string& problem) {
  errors_.fetch_add(1, std::memory_order_relaxed);
  tried_us_ = now_us();
  base::log_warning("storage: {}; the table is opened again", problem);
  return table_->recover();
}

/// What refuses a step may be an error of the past: a compaction that found no room makes RocksDB refuse a
/// flush long after there is room again. So recovery and the step are tried before anybody is told.
Result<void> EntryLog::mended(const std::function<Result<void>()>& step) {
  Result<void> done = step();
  if (done || done.error().code != ErrorCode::kIo || !may_recover()) return done;
  EGPTC_TRY_VOID(recover_from(done.error().message));
  return step();
}

/// True unless the disk refused. Waiters are taken before the batch, so that whoever asks
/// during the write gets a sync of its own.
bool EntryLog::write_batch(std::unique_lock<std::mutex>& lock) {
  std::vector<EntryChange> batch = std::exchange(queue_, {});
  std::vector<Done> waiters = std::exchange(waiters_, {});
  if (batch.empty() && waiters.empty()) return true;
  const std::string kept = std::exchange(kept_error_, {});
  waiting_.store(0, std::memory_order_relaxed);
  lock.unlock();
  const bool is_synced = options_.sync == SyncMode::kAlways && !waiters.empty();
  const auto step = [&]() -> Result<void> {
    if (!batch.empty()) return table_->write(batch, is_synced);
    return is_synced && is_unsynced_ ? table_->sync() : Result<void>();
  };
  Result<void> done;
  if (!kept.empty() && may_recover()) done = recover_from(kept);
  if (done) done = mended(step);
  if (done) {
    count(batch);
    if (is_synced) syncs_.fetch_add(1, std::memory_order_relaxed);
    is_unsynced_ = !is_synced && (is_unsynced_ || !batch.empty());
    is_unsettled_ = is_unsettled_ || !batch.empty();
    waiting_bytes_.fetch_sub(bytes_of(batch), std::memory_order_relaxed);
    batch.clear();
    answer(std::move(waiters), {});
    lock.lock();
    return true;
  }
  answer(std::move(waiters),
         fail(ErrorCode::kUnavailable, "storage cannot be written: " + done.error().message));
  lock.lock();
  failed(std::move(batch), done.error());
  return false;
}

/// Under the lock: to the front of the queue.
void EntryLog::put_back(std::vector<EntryChange> batch) {
  batch.insert(batch.end(), std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
  queue_ = std::move(batch);
  waiting_.store(queue_.size(), std::memory_order_relaxed);
}

/// Under the lock.
void EntryLog::failed(std::vector<EntryChange> batch, const Error& error) {
  put_back(std::move(batch));
  errors_.fetch_add(1, std::memory_order_relaxed);
  tried_us_ = now_us();
  if (!is_failing_)
    base::log_error(
        "storage cannot be written, entries are served but none is stored until it works again: {}",
        error.message);
  problem_ = error.message;
  is_failing_ = true;
}

void EntryLog::keep_house(std::unique_lock<std::mutex>& lock) {
  const int64_t now = now_us();
  const bool must_sync =
      is_unsynced_ && options_.sync != SyncMode::kOs && now - synced_us_ >= options_.sync_interval_ms * 1000;
  const bool must_settle = is_unsettled_ && now - settled_us_ >= options_.settle_interval_ms * 1000;
  if (!must_sync && !must_settle) return;
  lock.unlock();
  Result<void> done;
  if (must_sync) {
    done = mended([this] { return table_->sync(); });
    synced_us_ = now;
    is_unsynced_ = !done;
    if (done) syncs_.fetch_add(1, std::memory_order_relaxed);
  }
  if (done && must_settle) {
    done = mended([this] { return table_->settle(); });
    settled_us_ = now;
    is_unsettled_ = !done;
  }
  lock.lock();
  if (!done) failed({}, done.error());
}

void EntryLog::try_again(std::unique_lock<std::mutex>& lock) {
  std::vector<Done> waiters = std::exchange(waiters_, {});
  if (!waiters.empty()) {
    const std::string why = problem_;
    lock.unlock();
    answer(std::move(waiters), fail(ErrorCode::kUnavailable, "storage cannot be written: " + why));
    lock.lock();
  }
  if (now_us() - tried_us_ < options_.retry_interval_ms * 1000) return;
  tried_us_ = now_us();
  lock.unlock();
  Result<void> done = table_->recover();
  lock.lock();
  if (!done && done.error().code == ErrorCode::kCorrupt) needs_refill_ = needs_replacing_ = true;
  if (needs_replacing_ || (done && needs_refill_)) done = replace_table(lock);
  if (!done) return failed({}, done.error());
  if (!write_batch(lock)) return;
  is_failing_ = false;
  problem_.clear();
  base::log_info("storage can be written again");
}

/// What waits in the queue is part of what memory holds by now, so the refill covers it. A refill that failed
/// halfway goes on in the same table: replacing it again would remove what was put aside the first time.
Result<void> EntryLog::replace_table(std::unique_lock<std::mutex>& lock) {
  Result<void> done;
  if (needs_replacing_) {
    lock.unlock();
    done = table_->replace();
    lock.lock();
    if (!done) return done;
    needs_replacing_ = false;
    replacements_.fetch_add(1, std::memory_order_relaxed);
    waiting_bytes_.fetch_sub(bytes_of(queue_), std::memory_order_relaxed);
    queue_.clear();
    waiting_.store(0, std::memory_order_relaxed);
  }
  lock.unlock();
  done = refill_([this] { return relieve(); });
  lock.lock();
  needs_refill_ = !done;
  return done;
}

/// In a refill. Whoever waits for a commit goes on waiting: what that is about may come later.
Result<void> EntryLog::relieve() {
  if (waiting_bytes() < std::min<uint64_t>(kRefillBytes, options_.queue_bytes_max / 2)) return {};
  std::unique_lock lock(mutex_);
  std::vector<EntryChange> batch = std::exchange(queue_, {});
  waiting_.store(0, std::memory_order_relaxed);
  lock.unlock();
  Result<void> done = table_->write(batch, false);
  if (done) {
    count(batch);
    is_unsynced_ = is_unsettled_ = true;
    waiting_bytes_.fetch_sub(bytes_of(batch), std::memory_order_relaxed);
    return done;
  }
  lock.lock();
  put_back(std::move(batch));
  return done;
}

LogStats EntryLog::stats() const {
  LogStats stats;
  stats.is_failing = is_failing_;
  {
    const std::lock_guard lock(mutex_);
    stats.problem = problem_;
  }
  stats.stored = stored_;
  stats.removed = removed_;
  stats.written_bytes = written_bytes_;
  stats.batches = batches_;
  stats.syncs = syncs_;
  stats.errors = errors_;
  stats.replacements = replacements_;
  stats.waiting = waiting_;
  stats.waiting_bytes = waiting_bytes_;
  stats.table = table_->stats();
  return stats;
}

}  // namespace enhanced_gptcache::store
