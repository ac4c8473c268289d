#pragma once
// All entries and every way to find one: exact key, id, tenant, partition, age. This class keeps
// those structures in step; what a prompt means and whether an entry may answer is decided above it.
//
// Locks: inserting and removing an entry hold the stripe of its exact key; each structure has locks
// of its own, taken one at a time under the stripe. Lookups take none.

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cache/compact_map.h"
#include "cache/counters.h"
#include "cache/ledger.h"
#include "cache/partition.h"
#include "cache/record.h"
#include "cache/scopes.h"
#include "store/entry_log.h"

namespace enhanced_gptcache::cache {

struct Candidate {
  RecordPtr record;
  double similarity = 0;     ///< cosine of the questions
  double nearest_other = 0;  ///< the best similarity among the other candidates; 0: there are none
};

/// Thread rule: any thread.
class EntryStore {
 public:
  /// `graph_from`: rows from which on a partition gets a graph. `model_epoch`: what entries were packed with.
  EntryStore(size_t dimensions, size_t graph_from, std::string_view model_epoch, const base::Clock& clock,
             Counters& counters);
  ~EntryStore();
  EntryStore(const EntryStore&) = delete;
  EntryStore& operator=(const EntryStore&) = delete;

  /// From now on every change goes to `log` too, in the order it takes place here. Before any concurrent
  /// use; null detaches. The log outlives its use.
  void attach(store::EntryLog* log) { log_ = log; }
  /// Gives every entry to the log, which writes now and then what it was given: all at once would take the
  /// memory of the entries a second time. An error of writing ends it.
  Result<void> refill_log(const store::EntryLog::Relief& relief);
  /// One of them, if it is still stored.
  void log_again(const RecordPtr& record);
  void log_again(const base::Hash128& id);
  std::vector<RecordPtr> all() const { return ledger_.all(); }

  /// Files the record, in the partition its bytes name when `vector` is not empty; replaces the
  /// entry of the same exact key, with no moment in which neither is found. `whole`: what the disk is given.
  void insert(const RecordPtr& record, std::span<const float> vector, store::EntryBytes whole);
  /// At start, before anybody else: the same, but that an entry with a vector is a member of its partition
  /// that is found by meaning only after Partition::add_rest().
  void insert_loaded(const RecordPtr& record, bool has_vector, int64_t used_us);
  void add_rest(const Record& record, const Partition::VectorOf& vector_of);
  /// The stored entry of this id if it is a member of the partition. Valid at start, or while pinned.
  const Record* find_member(const base::Hash128& id, const Partition& partition) const;
  std::vector<std::shared_ptr<Partition>> partitions_larger_than(size_t entries) const {
    return partitions_.larger_than(entries);
  }
  /// Removes those still stored; how many that were. `cause` is counted once for each.
  size_t remove(std::span<const RecordPtr> records, Count cause);

  /// Stored and not expired. Whether it was stored for the same request is the caller's question.
  /// Lock-free; allocates nothing.
  RecordPtr find_exact(const base::Hash128& key) const;
  RecordPtr find_id(const base::Hash128& id) const;
  /// Stored, not expired, best first.
  std::vector<Candidate> search(const base::Hash128& partition, std::span<const float> query, size_t k,
                                double similarity_min) const;
  /// Entries of this partition.
  size_t partition_size(const base::Hash128& partition) const;
  /// This use counts for recency.
  void touch(const Record& record) const;

  /// Evicts the least recently used until at most so many bytes, bytes of records alone (what is on disk),
  /// and partitions are there.
  void evict_to(size_t bytes_max, size_t record_bytes_max, size_t partitions_max);
  /// Evicts the tenant's own least recently used while it is over `quota`.
  void evict_tenant(std::string_view tenant, const Quota& quota);
  /// The same for every tenant: after a start, and when the quota has changed.
  void evict_tenants(const Quota& quota);
  /// Removes what has expired; how many entries.
  size_t sweep();
  /// Insertions so far: a bound for what "everything stored until now" means.
  uint64_t sequence() const { return sequence_.load(std::memory_order_acquire); }

  /// Bytes of records that have left since the last call.
  size_t take_freed_bytes() { return freed_bytes_.exchange(0, std::memory_order_relaxed); }

  const Scopes& scopes() const { return scopes_; }
  size_t size() const { return ledger_.size(); }
  size_t semantic_size() const { return semantic_size_.load(std::memory_order_relaxed); }
  size_t partitions() const { return partitions_.size(); }
  /// Real bytes of all entries, vectors, tables and lists.
  size_t bytes() const;

 private:
  static constexpr size_t kStripes = 256;

  std::mutex& stripe_of(const base::Hash128& key) { return stripes_[key.high % kStripes]; }
  using AddTo = std::function<bool(Partition& partition)>;
  void file(const RecordPtr& record, const AddTo& add, int64_t used_us);
  void insert(const RecordPtr& record, const AddTo& add, store::EntryBytes whole, int64_t used_us);
  /// What its records are on disk, about: with their vectors.
  size_t stored_bytes() const { return ledger_.record_bytes() + semantic_size() * vector_bytes_; }
  bool unfile(Record& record);
  void log_stored(const Record& record, store::EntryBytes whole);
  void leave_partitions(std::vector<RecordPtr>& removed);

  const std::string model_epoch_;
  const base::Clock& clock_;
  Counters& counters_;
  const size_t vector_bytes_;  // of one embedding on disk
  store::EntryLog* log_ = nullptr;
  CompactMap<Record, &Record::exact_key> exact_;
  CompactMap<Record, &Record::id_hash> ids_;
  PartitionMap partitions_;
  Scopes scopes_;
  Ledger ledger_;
  std::atomic<uint64_t> sequence_{0};
  std::atomic<size_t> semantic_size_{0};
  std::atomic<size_t> freed_bytes_{0};
  std::array<std::mutex, kStripes> stripes_;
};

}  // namespace enhanced_gptcache::cache
