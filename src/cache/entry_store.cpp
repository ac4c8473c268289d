#include "cache/entry_store.h"

#include <algorithm>

#include "base/check.h"
#include "base/epoch.h"
#include "base/log.h"
#include "store/vector_codec.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr size_t kSweepBatch = 1024;

RecordPtr alive(Record* record, int64_t now_ms) {
  if (record == nullptr || !record->live.load(std::memory_order_acquire) || record->is_expired(now_ms))
    return nullptr;
  return record->shared();
}

}  // namespace

EntryStore::EntryStore(size_t dimensions, size_t graph_from, std::string_view model_epoch,
                       const base::Clock& clock, Counters& counters)
    : model_epoch_(model_epoch),
      clock_(clock),
      counters_(counters),
      vector_bytes_(store::vector_bytes(dimensions, store::VectorForm::kInt8)),
      partitions_(dimensions, graph_from) {}

EntryStore::~EntryStore() {
  // Nobody else is left; entries that callers still hold live on by their own references.
  while (const RecordPtr record = ledger_.oldest()) {
    ledger_.remove(*record);
    record->owner.reset();
  }
}

void EntryStore::insert(const RecordPtr& record, std::span<const float> vector, store::EntryBytes whole) {
  const auto add = [&](Partition& partition) { return partition.add(*record, vector); };
  insert(record, vector.empty() ? AddTo() : AddTo(add), std::move(whole), clock_.mono_us());
}

void EntryStore::insert_loaded(const RecordPtr& record, bool has_vector, int64_t used_us) {
  const auto add = [](Partition& partition) {
    partition.count_member();
    return true;
  };
  insert(record, has_vector ? AddTo(add) : AddTo(), {}, used_us);
}

void EntryStore::add_rest(const Record& record, const Partition::VectorOf& vector_of) {
  const std::shared_ptr<Partition> partition = partitions_.get(record.view().partition());
  EGPTC_CHECK(partition != nullptr);
  partition->add_rest(record, vector_of);
}

/// `add` null: for the exact layer alone.
void EntryStore::insert(const RecordPtr& record, const AddTo& add, store::EntryBytes whole, int64_t used_us) {
  std::vector<RecordPtr> replaced;
  {
    const std::lock_guard lock(stripe_of(record->exact_key()));
    file(record, add, used_us);
    // The old entry is found until this exchange, the new one from then on.
    Record* old = exact_.exchange(record.get());
    if (old != nullptr) {
      // Who has asked for this key has asked, whichever answer is newest.
      record->vouchers.add_all(old->vouchers);
      replaced.push_back(old->shared());
      EGPTC_CHECK(unfile(*old));
    }
    if (log_ != nullptr) log_stored(*record, std::move(whole));
  }
  leave_partitions(replaced);
}

/// Under the stripe of the record's key, so that the log sees the changes of a key in their order.
void EntryStore::log_stored(const Record& record, store::EntryBytes whole) {
  const auto kept = std::make_shared<const store::EntryBytes>(std::move(whole));
  log_->put({record.exact_key(), record.id_hash(), kept, kept->view()});
}

Result<void> EntryStore::refill_log(const store::EntryLog::Relief& relief) {
  for (const RecordPtr& record : ledger_.all()) {
    log_again(record);
    EGPTC_TRY_VOID(relief());
  }
  return {};
}

void EntryStore::log_again(const RecordPtr& record) {
  const std::lock_guard lock(stripe_of(record->exact_key()));
  if (log_ == nullptr || !record->live.load(std::memory_order_relaxed)) return;
  std::vector<float> vector;
  if (record->is_indexed) {
    const std::shared_ptr<Partition> partition = partitions_.get(record->view().partition());
    if (partition != nullptr) vector = partition->vector_of(*record);
    if (vector.empty()) base::log_error("entry {} is written without its vector", record->id());
  }
  log_stored(*record, store::unpack_entry(record->view().bytes(), model_epoch_, vector));
}

/// Under the stripe of the record's key.
void EntryStore::file(const RecordPtr& record, const AddTo& add, int64_t used_us) {
  record->owner = record;
  record->sequence = sequence_.fetch_add(1, std::memory_order_acq_rel) + 1;
  record->used_us.store(used_us, std::memory_order_relaxed);
  record->is_indexed = static_cast<bool>(add);
  record->live.store(true, std::memory_order_release);
  if (add) {
    // A partition may be given up between finding and filling it; then there is a new one.
    while (!add(*partitions_.get_or_create(record->view().partition(), used_us))) {
    }
    semantic_size_.fetch_add(1, std::memory_order_relaxed);
  }
  ids_.exchange(record.get());
  scopes_.add(*record);
  ledger_.add(*record);
}

/// Expired or not: what has expired lies on disk until it is swept.
void EntryStore::log_again(const base::Hash128& id) {
  RecordPtr record;
  {
    const base::EpochGuard pin;
    Record* found = ids_.find(id);
    if (found != nullptr && found->live.load(std::memory_order_acquire)) record = found->shared();
  }
  if (record != nullptr) log_again(record);
}

/// Under the stripe of the record's key. All but the exact table and the partition.
bool EntryStore::unfile(Record& record) {
  if (!record.live.exchange(false, std::memory_order_acq_rel)) return false;
  ids_.erase(&record);
  scopes_.remove(record);
  ledger_.remove(record);
  return true;
}

size_t EntryStore::remove(std::span<const RecordPtr> records, Count cause) {
  std::vector<RecordPtr> removed;
  for (const RecordPtr& record : records) {
    const std::lock_guard lock(stripe_of(record->exact_key()));
    if (!unfile(*record)) continue;
    exact_.erase(record.get());
    if (log_ != nullptr) log_->put({record->exact_key(), record->id_hash(), nullptr});
    removed.push_back(record);
  }
  counters_.add(cause, removed.size());
  const size_t count = removed.size();
  leave_partitions(removed);
  return count;
}

/// The last step of a removal, outside the stripes: partition by partition, then the epoch.
void EntryStore::leave_partitions(std::vector<RecordPtr>& removed) {
  const auto key_of = [](const RecordPtr& record) { return record->view().partition(); };
  const auto first_exact_only = std::partition(removed.begin(), removed.end(),
                                               [](const RecordPtr& record) { return record->semantic(); });
  std::sort(removed.begin(), first_exact_only,
            [&](const RecordPtr& a, const RecordPtr& b) { return key_of(a) < key_of(b); });
  std::vector<Record*> group;
  for (auto from = removed.begin(); from != first_exact_only;) {
    const base::Hash128 key = key_of(*from);
    group.clear();
    for (; from != first_exact_only && key_of(*from) == key; ++from) group.push_back(from->get());
    // It is there: its members keep it from being given up.
    const std::shared_ptr<Partition> partition = partitions_.get(key);
    EGPTC_CHECK(partition != nullptr);
    partition->remove(group);
    semantic_size_.fetch_sub(group.size(), std::memory_order_relaxed);
    partitions_.release_if_empty(*partition);
  }
  for (RecordPtr& record : removed) {
    Record& leaving = *record;
    freed_bytes_.fetch_add(leaving.bytes(), std::memory_order_relaxed);
    record.reset();  // the owner's reference keeps it until retire hands that to the epoch
    Record::retire(leaving);
  }
}

RecordPtr EntryStore::find_exact(const base::Hash128& key) const {
  const base::EpochGuard pin;
  Record* record = exact_.find(key);
  while (record != nullptr && !record->live.load(std::memory_order_acquire)) {
    // Being removed, unless it was replaced after we found it: then the new entry is there by now.
    Record* now = exact_.find(key);
    if (now == record) return nullptr;
    record = now;
  }
  if (record == nullptr || (record->expires_ms() != 0 && record->is_expired(clock_.wall_ms())))
    return nullptr;
  return record->shared();
}

const Record* EntryStore::find_member(const base::Hash128& id, const Partition& partition) const {
  const base::EpochGuard pin;
  const Record* record = ids_.find(id);
  const bool is_member = record != nullptr && record->live.load(std::memory_order_acquire) &&
                         record->is_indexed && record->view().partition() == partition.key();
  return is_member ? record : nullptr;
}

RecordPtr EntryStore::find_id(const base::Hash128& id) const {
  const base::EpochGuard pin;
  return alive(ids_.find(id), clock_.wall_ms());
}

std::vector<Candidate> EntryStore::search(const base::Hash128& partition, std::span<const float> query,
                                          size_t k, double similarity_min) const {
  const base::EpochGuard pin;
  std::vector<Candidate> candidates;
  Partition* found = partitions_.find(partition);
  if (found == nullptr) return candidates;
  found->used_us.store(clock_.mono_us(), std::memory_order_relaxed);
  const int64_t now_ms = clock_.wall_ms();
  for (const index::Neighbour& near : found->search(query, k, static_cast<float>(similarity_min))) {
    // A record leaves the index before it is retired, so while pinned every label is a record.
    RecordPtr record = alive(reinterpret_cast<Record*>(near.label), now_ms);
    if (record != nullptr) candidates.push_back({std::move(record), near.similarity});
  }
  return candidates;
}

size_t EntryStore::partition_size(const base::Hash128& partition) const {
  const base::EpochGuard pin;
  const Partition* found = partitions_.find(partition);
  return found == nullptr ? 0 : found->size();
}

void EntryStore::touch(const Record& record) const {
  record.used_us.store(clock_.mono_us(), std::memory_order_relaxed);
  record.hit_count.fetch_add(1, std::memory_order_relaxed);
}

void EntryStore::evict_to(size_t bytes_max, size_t record_bytes_max, size_t partitions_max) {
  while (bytes() > bytes_max || stored_bytes() > record_bytes_max) {
    const RecordPtr oldest = ledger_.oldest();
    if (oldest == nullptr) break;
    remove({&oldest, 1}, Count::kEvictionsSize);
  }
  while (const std::shared_ptr<Partition> victim = partitions_.victim(partitions_max)) {
    const std::vector<RecordPtr> members = victim->members();
    remove(members, Count::kEvictionsSize);
    partitions_.release_if_empty(*victim);
  }
}

void EntryStore::evict_tenant(std::string_view tenant, const Quota& quota) {
  if (!quota.is_limited()) return;
  while (const RecordPtr victim = scopes_.victim(tenant, quota)) remove({&victim, 1}, Count::kEvictionsQuota);
}

void EntryStore::evict_tenants(const Quota& quota) {
  for (const std::string& tenant : scopes_.over(quota)) evict_tenant(tenant, quota);
}

size_t EntryStore::sweep() {
  size_t removed = 0;
  while (true) {
    const std::vector<RecordPtr> expired = ledger_.take_expired(clock_.wall_ms(), kSweepBatch);
    if (expired.empty()) return removed;
    removed += remove(expired, Count::kEvictionsExpired);
  }
}

size_t EntryStore::bytes() const {
  return ledger_.bytes() + exact_.bytes() + ids_.bytes() + scopes_.bytes() + partitions_.bytes();
}

}  // namespace enhanced_gptcache::cache
