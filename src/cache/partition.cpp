#include "cache/partition.h"

#include <unordered_set>

#include "base/check.h"
#include "base/epoch.h"
#include "cache/recency.h"

namespace enhanced_gptcache::cache {
namespace {

/// Removing one entry scans the labels of the index; copying one entry into a new index costs as much
/// as scanning about this many labels. So many removals at once are done by copying what stays.
constexpr size_t kLabelsPerCopy = 2000;

/// In a graph a removal costs about as much as a tenth of an addition, however large it is.
constexpr size_t kGraphRemovalsPerCopy = 10;

bool is_bulk(size_t removed, size_t members, size_t graph_from) {
  const size_t left = members - removed;
  if (members > graph_from) return removed > left * kGraphRemovalsPerCopy;
  return removed * members > left * kLabelsPerCopy;
}

}  // namespace

Partition::Partition(const base::Hash128& key, size_t dimensions, size_t graph_from,
                     std::shared_ptr<ByteCount> bytes_total)
    : key_(key),
      dimensions_(dimensions),
      graph_from_(graph_from),
      bytes_total_(std::move(bytes_total)),
      index_(new index::VectorIndex(dimensions, graph_from)) {
  account();
}

Partition::~Partition() {
  bytes_total_->fetch_sub(bytes_counted_, std::memory_order_relaxed);
  delete index_.load(std::memory_order_acquire);
}

void Partition::account() {
  const size_t bytes = sizeof(Partition) + index_.load(std::memory_order_relaxed)->bytes();
  // Unsigned wrap-around makes a decrease out of the difference.
  bytes_total_->fetch_add(bytes - bytes_counted_, std::memory_order_relaxed);
  bytes_counted_ = bytes;
}

bool Partition::add(Record& record, std::span<const float> vector) {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return false;
  index_.load(std::memory_order_relaxed)->add(label_of(record), vector);
  size_.fetch_add(1, std::memory_order_relaxed);
  account();
  return true;
}

void Partition::remove(std::span<Record* const> records) {
  const std::lock_guard lock(mutex_);
  if (records.size() > 1 && is_bulk(records.size(), size(), graph_from_)) {
    rebuild(records);
  } else {
    for (Record* record : records)
      EGPTC_CHECK(index_.load(std::memory_order_relaxed)->remove(label_of(*record)));
  }
  size_.fetch_sub(records.size(), std::memory_order_relaxed);
  account();
}

/// A new index of what stays: its vectors are nowhere else.
void Partition::rebuild(std::span<Record* const> without) {
  auto fresh = std::make_unique<index::VectorIndex>(dimensions_, graph_from_);
  index::VectorIndex* const old = index_.load(std::memory_order_relaxed);
  const std::unordered_set<const Record*> removed(without.begin(), without.end());
  old->for_each([&](uint64_t label, std::span<const float> vector) {
    if (!removed.contains(reinterpret_cast<const Record*>(label))) fresh->add(label, vector);
  });
  index_.store(fresh.release(), std::memory_order_release);
  base::epoch_retire(old, old->bytes());
}

std::vector<index::Neighbour> Partition::search(std::span<const float> query, size_t k,
                                                float similarity_min) const {
  return index_.load(std::memory_order_acquire)->search(query, k, similarity_min);
}

void Partition::count_member() {
  const std::lock_guard lock(mutex_);
  size_.fetch_add(1, std::memory_order_relaxed);
}

void Partition::restore(std::span<const index::LinkedRow> rows, const VectorOf& vector_of, size_t threads) {
  const std::lock_guard lock(mutex_);
  index_.load(std::memory_order_relaxed)->restore(rows, vector_of, threads);
}

size_t Partition::finish_restore() {
  const std::lock_guard lock(mutex_);
  index::VectorIndex& index = *index_.load(std::memory_order_relaxed);
  index.finish_restore();
  account();
  return index.size();
}

void Partition::abandon_restore() {
  const std::lock_guard lock(mutex_);
  index_.load(std::memory_order_relaxed)->abandon_restore();
}

void Partition::add_rest(const Record& record, const VectorOf& vector_of) {
  const std::lock_guard lock(mutex_);
  index::VectorIndex& index = *index_.load(std::memory_order_relaxed);
  const uint64_t label = label_of(record);
  std::vector<float> vector;
  if (index.is_in_graph(label) || !vector_of(label, vector)) return;
  index.add_unsettled(label, vector);
  account();
}

std::vector<float> Partition::vector_of(const Record& record) const {
  const std::lock_guard lock(mutex_);
  std::vector<float> vector;
  if (!index_.load(std::memory_order_relaxed)->vector_of(label_of(record), vector)) vector.clear();
  return vector;
}

bool Partition::settle(size_t count_max) {
  const std::lock_guard lock(mutex_);
  const bool is_left = index_.load(std::memory_order_relaxed)->settle(count_max);
  account();
  return is_left;
}

size_t Partition::unsettled() const {
  const base::EpochGuard pin;
  return index_.load(std::memory_order_acquire)->unsettled();
}

uint64_t Partition::graph() const {
  const base::EpochGuard pin;
  return index_.load(std::memory_order_acquire)->graph();
}

uint64_t Partition::graph_changes() const {
  const base::EpochGuard pin;
  return index_.load(std::memory_order_acquire)->graph_changes();
}

bool Partition::copy_graph(uint64_t graph, uint32_t from, uint32_t count_max,
                           std::vector<GraphFileRow>& rows) const {
  std::vector<index::LinkedRow> linked;
  const base::EpochGuard pin;
  if (!index_.load(std::memory_order_acquire)->copy_graph(graph, from, count_max, linked)) return false;
  rows.reserve(rows.size() + linked.size());
  for (const index::LinkedRow& row : linked) {
    // A record leaves the index before it is retired, so while pinned every label is a record.
    const bool is_empty = row.label == index::kDeadLabel;
    rows.push_back(
        {is_empty ? base::Hash128() : reinterpret_cast<const Record*>(row.label)->id_hash(), row.links});
  }
  return true;
}

std::vector<RecordPtr> Partition::members() const {
  const std::lock_guard lock(mutex_);
  std::vector<RecordPtr> members;
  members.reserve(size());
  index_.load(std::memory_order_relaxed)->for_each([&](uint64_t label, std::span<const float>) {
    members.push_back(reinterpret_cast<const Record*>(label)->shared());
  });
  return members;
}

bool Partition::close_if_empty() {
  const std::lock_guard lock(mutex_);
  if (is_closed_ || size() != 0) return false;
  is_closed_ = true;
  // Nobody fills it again; what is left of it goes with the epoch.
  bytes_total_->fetch_sub(bytes_counted_, std::memory_order_relaxed);
  bytes_counted_ = 0;
  return true;
}

PartitionMap::~PartitionMap() {
  while (!recency_.empty()) {
    Partition& partition = recency_.top();
    recency_.remove(partition);
    const std::shared_ptr<Partition> last = std::move(partition.owner);
  }
}

std::shared_ptr<Partition> PartitionMap::get(const base::Hash128& key) const {
  const base::EpochGuard pin;
  Partition* found = map_.find(key);
  return found == nullptr ? nullptr : found->shared_from_this();
}

std::shared_ptr<Partition> PartitionMap::get_or_create(const base::Hash128& key, int64_t now_us) {
  const std::lock_guard lock(mutex_);
  {
    const base::EpochGuard pin;
    if (Partition* found = map_.find(key); found != nullptr) {
      found->used_us.store(now_us, std::memory_order_relaxed);
      return found->shared_from_this();
    }
  }
  auto created = std::make_shared<Partition>(key, dimensions_, graph_from_, index_bytes_);
  created->used_us.store(now_us, std::memory_order_relaxed);
  created->owner = created;
  recency_.push(now_us, *created);
  size_.fetch_add(1, std::memory_order_relaxed);
  map_.exchange(key, created.get());
  return created;
}

void PartitionMap::release_if_empty(Partition& partition) {
  {
    const std::lock_guard lock(mutex_);
    if (!partition.close_if_empty()) return;
    map_.erase(partition.key(), &partition);
    recency_.remove(partition);
    size_.fetch_sub(1, std::memory_order_relaxed);
  }
  const auto release = [](void* object) {
    const std::shared_ptr<Partition> last = std::move(static_cast<Partition*>(object)->owner);
  };
  base::epoch_retire(&partition, release, sizeof(Partition));
}

std::vector<std::shared_ptr<Partition>> PartitionMap::larger_than(size_t entries) const {
  std::vector<std::shared_ptr<Partition>> found;
  const std::lock_guard lock(mutex_);
  recency_.for_each([&](Partition& partition) {
    if (partition.size() > entries) found.push_back(partition.shared_from_this());
  });
  return found;
}

std::shared_ptr<Partition> PartitionMap::victim(size_t count_max) {
  const std::lock_guard lock(mutex_);
  if (recency_.size() <= count_max) return nullptr;
  return least_recently_used(recency_).shared_from_this();
}

}  // namespace enhanced_gptcache::cache
