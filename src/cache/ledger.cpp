#include "cache/ledger.h"

#include "cache/recency.h"

namespace enhanced_gptcache::cache {

void Ledger::add(Record& record) {
  const std::lock_guard lock(mutex_);
  recency_.push(record.used_us.load(std::memory_order_relaxed), record);
  if (record.expires_ms() != 0) expiry_.push(record.expires_ms(), record);
  size_.fetch_add(1, std::memory_order_relaxed);
  record_bytes_.fetch_add(record.bytes(), std::memory_order_relaxed);
  count_heaps();
}

void Ledger::remove(Record& record) {
  const std::lock_guard lock(mutex_);
  recency_.remove(record);
  if (expiry_.contains(record)) expiry_.remove(record);
  size_.fetch_sub(1, std::memory_order_relaxed);
  record_bytes_.fetch_sub(record.bytes(), std::memory_order_relaxed);
  count_heaps();
}

void Ledger::count_heaps() {
  heap_bytes_.store(recency_.bytes() + expiry_.bytes(), std::memory_order_relaxed);
}

RecordPtr Ledger::oldest() {
  const std::lock_guard lock(mutex_);
  if (recency_.empty()) return nullptr;
  return least_recently_used(recency_).shared();
}

std::vector<RecordPtr> Ledger::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<RecordPtr> records;
  records.reserve(recency_.size());
  recency_.for_each([&](Record& record) { records.push_back(record.shared()); });
  return records;
}

std::vector<RecordPtr> Ledger::take_expired(int64_t now_ms, size_t count_max) {
  const std::lock_guard lock(mutex_);
  std::vector<RecordPtr> expired;
  while (!expiry_.empty() && expiry_.top_key() <= now_ms && expired.size() < count_max) {
    Record& record = expiry_.top();
    expiry_.remove(record);
    expired.push_back(record.shared());
  }
  return expired;
}

}  // namespace enhanced_gptcache::cache
