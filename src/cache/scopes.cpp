#include "cache/scopes.h"

#include "cache/recency.h"

namespace enhanced_gptcache::cache {
namespace {

/// A map node with its bucket and its text, roughly.
constexpr size_t kNodeBytes = 160;

template <typename List>
std::vector<RecordPtr> collect_newest(const List& list, const Record* cursor, size_t limit,
                                      const Scopes::Wanted& wanted) {
  std::vector<RecordPtr> found;
  const Record* record = cursor == nullptr ? list.newest() : List::older_than(*cursor);
  for (; record != nullptr && found.size() < limit; record = List::older_than(*record)) {
    if (wanted(*record)) found.push_back(record->shared());
  }
  return found;
}

template <typename List>
std::vector<RecordPtr> collect_oldest(const List& list, uint64_t sequence_max, size_t limit) {
  std::vector<RecordPtr> found;
  for (Record* record = list.oldest(); record != nullptr && found.size() < limit;
       record = List::newer_than(*record)) {
    // Insertions of several threads may arrive here slightly out of order, so go on rather than stop.
    if (record->sequence <= sequence_max) found.push_back(record->shared());
  }
  return found;
}

}  // namespace

void Scopes::count_node(std::string_view name, bool added) {
  const size_t bytes = kNodeBytes + name.size();
  if (added)
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  else
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

void Scopes::add(Record& record) {
  Shard& shard = shard_of(record.tenant());
  const std::lock_guard lock(shard.mutex);
  auto [tenant, new_tenant] = shard.tenants.try_emplace(std::string(record.tenant()));
  if (new_tenant) count_node(record.tenant(), true);
  auto [name_space, new_namespace] = tenant->second.namespaces.try_emplace(std::string(record.name_space()));
  if (new_namespace) count_node(record.name_space(), true);
  Tenant& owner = tenant->second;
  owner.all.push_newest(record);
  name_space->second.push_newest(record);
  const size_t heap_bytes = owner.recency.bytes();
  if (owner.has_recency) owner.recency.push(record.used_us.load(std::memory_order_relaxed), record);
  owner.record_bytes += record.bytes();
  count_heap(heap_bytes, owner.recency.bytes());
}

void Scopes::remove(Record& record) {
  Shard& shard = shard_of(record.tenant());
  const std::lock_guard lock(shard.mutex);
  const auto tenant = shard.tenants.find(record.tenant());
  const auto name_space = tenant->second.namespaces.find(record.name_space());
  name_space->second.remove(record);
  Tenant& owner = tenant->second;
  owner.all.remove(record);
  const size_t heap_bytes = owner.recency.bytes();
  if (owner.has_recency) owner.recency.remove(record);
  owner.record_bytes -= record.bytes();
  count_heap(heap_bytes, owner.recency.bytes());
  if (name_space->second.size() == 0) {
    count_node(record.name_space(), false);
    tenant->second.namespaces.erase(name_space);
  }
  if (owner.all.size() == 0) {
    count_heap(owner.recency.bytes(), 0);
    count_node(record.tenant(), false);
    shard.tenants.erase(tenant);
  }
}

/// Most tenants never reach a quota.
void Scopes::Tenant::begin_recency() {
  has_recency = true;
  for (Record* record = all.oldest(); record != nullptr; record = TenantList::newer_than(*record))
    recency.push(record->used_us.load(std::memory_order_relaxed), *record);
}

const Scopes::Tenant* Scopes::find(const Shard& shard, std::string_view tenant) {
  const auto found = shard.tenants.find(tenant);
  return found == shard.tenants.end() ? nullptr : &found->second;
}

std::vector<RecordPtr> Scopes::newest(std::string_view tenant, std::optional<std::string_view> name_space,
                                      const Record* cursor, size_t limit, const Wanted& wanted) const {
  const Shard& shard = shard_of(tenant);
  const std::lock_guard lock(shard.mutex);
  const Tenant* lists = find(shard, tenant);
  if (lists == nullptr) return {};
  // Under this lock a live cursor is linked; one that has left has empty links and ends the walk.
  if (!name_space) return collect_newest(lists->all, cursor, limit, wanted);
  const auto list = lists->namespaces.find(*name_space);
  if (list == lists->namespaces.end()) return {};
  return collect_newest(list->second, cursor, limit, wanted);
}

std::vector<RecordPtr> Scopes::oldest(std::string_view tenant, std::optional<std::string_view> name_space,
                                      uint64_t sequence_max, size_t limit) const {
  const Shard& shard = shard_of(tenant);
  const std::lock_guard lock(shard.mutex);
  const Tenant* lists = find(shard, tenant);
  if (lists == nullptr) return {};
  if (!name_space) return collect_oldest(lists->all, sequence_max, limit);
  const auto list = lists->namespaces.find(*name_space);
  if (list == lists->namespaces.end()) return {};
  return collect_oldest(list->second, sequence_max, limit);
}

size_t Scopes::count(std::string_view tenant) const {
  const Shard& shard = shard_of(tenant);
  const std::lock_guard lock(shard.mutex);
  const Tenant* lists = find(shard, tenant);
  return lists == nullptr ? 0 : lists->all.size();
}

RecordPtr Scopes::victim(std::string_view tenant, const Quota& quota) {
  Shard& shard = shard_of(tenant);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.tenants.find(tenant);
  if (found == shard.tenants.end() || !found->second.is_over(quota)) return nullptr;
  Tenant& owner = found->second;
  if (!owner.has_recency) {
    owner.begin_recency();
    count_heap(0, owner.recency.bytes());
  }
  return least_recently_used(owner.recency).shared();
}

std::vector<std::string> Scopes::over(const Quota& quota) const {
  std::vector<std::string> names;
  if (!quota.is_limited()) return names;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [name, tenant] : shard.tenants) {
      if (tenant.is_over(quota)) names.push_back(name);
    }
  }
  return names;
}

}  // namespace enhanced_gptcache::cache
