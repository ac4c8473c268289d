// What operators and owners do with entries: get, list, remove, invalidate, flush.

#include <algorithm>

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {
namespace {

bool has_any_tag(const Record& record, const std::vector<std::string>& tags) {
  const std::vector<std::string_view> its_tags = record.tags();
  return std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return std::find(its_tags.begin(), its_tags.end(), tag) != its_tags.end();
  });
}

bool matches(const Filter& filter, const Record& record, int64_t now_ms) {
  return !record.is_expired(now_ms) && (!filter.name_space || record.name_space() == *filter.name_space) &&
         (!filter.model || record.model() == *filter.model) &&
         (!filter.subject || record.subject() == *filter.subject) &&
         (!filter.created_before_ms || record.created_ms() < *filter.created_before_ms) &&
         (filter.tags.empty() || has_any_tag(record, filter.tags)) &&
         (!filter.query_contains || record.query().find(*filter.query_contains) != std::string_view::npos);
}

}  // namespace

RecordPtr CacheImpl::find_owned(std::string_view tenant, std::string_view id) const {
  base::Hash128 hash;
  if (!parse_hex128(id, hash)) return nullptr;
  RecordPtr record = entries_.find_id(hash);
  return record != nullptr && record->tenant() == tenant ? record : nullptr;
}

EntryPtr CacheImpl::get(std::string_view tenant, std::string_view id) const { return find_owned(tenant, id); }

bool CacheImpl::remove(std::string_view tenant, std::string_view id) {
  const RecordPtr record = find_owned(tenant, id);
  if (record == nullptr) return false;
  generations_.advance(record->exact_key());
  return entries_.remove({&record, 1}, Count::kRemovals) == 1;
}

std::vector<RecordPtr> CacheImpl::matching(const Filter& filter, size_t limit, const Record* cursor) const {
  const int64_t now_ms = clock_.wall_ms();
  const auto wanted = [&](const Record& record) { return matches(filter, record, now_ms); };
  std::optional<std::string_view> name_space;
  if (filter.name_space) name_space = *filter.name_space;
  return entries_.scopes().newest(filter.tenant, name_space, cursor, limit, wanted);
}

std::vector<EntryPtr> CacheImpl::list(const Filter& filter, size_t limit, std::string_view cursor) const {
  RecordPtr after;
  if (!cursor.empty()) {
    after = find_owned(filter.tenant, cursor);
    // A cursor that is gone, or of another namespace, is in none of the lists this call walks.
    if (after == nullptr || (filter.name_space && after->name_space() != *filter.name_space)) return {};
  }
  const std::vector<RecordPtr> records = matching(filter, limit, after.get());
  return {records.begin(), records.end()};
}

size_t CacheImpl::invalidate(const Filter& filter, bool dry_run) {
  // Whether an answer under way would match is not known before it is there, so none of the scope is kept.
  if (!dry_run)
    generations_.advance(filter.name_space ? keys_.name_space(filter.tenant, *filter.name_space)
                                           : keys_.tenant(filter.tenant));
  const std::vector<RecordPtr> records = matching(filter, SIZE_MAX, nullptr);
  if (!dry_run && log_ != nullptr) log_->clear_quarantine();
  return dry_run ? records.size() : entries_.remove(records, Count::kRemovals);
}

size_t CacheImpl::flush(std::string_view tenant, std::optional<std::string_view> name_space) {
  generations_.advance(name_space ? keys_.name_space(tenant, *name_space) : keys_.tenant(tenant));
  const uint64_t until_now = entries_.sequence();
  if (log_ != nullptr) log_->clear_quarantine();
  return entries_.remove(entries_.scopes().oldest(tenant, name_space, until_now, SIZE_MAX), Count::kRemovals);
}

}  // namespace enhanced_gptcache::cache
