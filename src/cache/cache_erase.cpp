// Erasing a subject: from memory, from every file, and from what older backups can still be opened with. The
// order matters. The ledger comes first, so that whatever happens then is finished at the next start; the
// data keys go after the last write that could use them, and the files are rewritten at the end.

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "cache/cache_impl.h"
#include "store/entry_seal.h"

namespace enhanced_gptcache::cache {
namespace {

using store::EntryText;

/// Entries about a subject, answered for it alone, or written by it.
bool is_of(const Record& record, std::string_view subject) {
  return record.subject() == subject || record.principal() == subject ||
         record.view().text(EntryText::kUser) == subject;
}

base::Hash128 hash_of_user(const std::string& user) {
  base::Hash128 hash;
  std::memcpy(&hash.high, user.data(), sizeof hash.high);
  std::memcpy(&hash.low, user.data() + sizeof hash.high, sizeof hash.low);
  return hash;
}

std::string user_of(const base::Hash128& hash) {
  std::string user(sizeof hash, '\0');
  std::memcpy(user.data(), &hash.high, sizeof hash.high);
  std::memcpy(user.data() + sizeof hash.high, &hash.low, sizeof hash.low);
  return user;
}

std::vector<base::Hash128> keys_of(const std::vector<RecordPtr>& records) {
  std::vector<base::Hash128> keys;
  for (const RecordPtr& record : records) keys.push_back(record->exact_key());
  return keys;
}

}  // namespace

/// While loading, on several threads at once.
bool CacheImpl::is_erased(const Record& record) const {
  if (erasures_ == nullptr || erasures_->empty()) return false;
  const std::string_view tenant = record.tenant();
  const base::Hash128 name_space = vault::namespace_hash(secret_, tenant, record.name_space());
  for (const std::string_view name :
       {record.subject(), record.view().text(EntryText::kUser), record.principal()}) {
    if (!name.empty() &&
        erasures_->covers(vault::subject_hash(secret_, tenant, name), name_space, record.created_ms()))
      return true;
  }
  return false;
}

std::vector<RecordPtr> CacheImpl::records_of(std::string_view tenant, std::string_view subject,
                                             std::optional<std::string_view> name_space, const Record* cursor,
                                             size_t limit) const {
  return entries_.scopes().newest(tenant, name_space, cursor, limit,
                                  [subject](const Record& record) { return is_of(record, subject); });
}

std::vector<EntryPtr> CacheImpl::list_subject(std::string_view tenant, std::string_view subject,
                                              std::optional<std::string_view> name_space, size_t limit,
                                              std::string_view cursor) const {
  RecordPtr after;
  if (!cursor.empty()) {
    after = find_owned(tenant, cursor);
    if (after == nullptr || (name_space && after->name_space() != *name_space)) return {};
  }
  const std::vector<RecordPtr> records = records_of(tenant, subject, name_space, after.get(), limit);
  return {records.begin(), records.end()};
}

uint64_t CacheImpl::count_without_data_key(std::span<const RecordPtr> records,
                                           std::string_view subject) const {
  if (vault_ == nullptr || !vault_->encrypts()) return records.size();
  return static_cast<uint64_t>(std::count_if(records.begin(), records.end(), [&](const RecordPtr& record) {
    return store::owner_of(record->view()) != subject;
  }));
}

std::optional<double> CacheImpl::learned_threshold(std::string_view tenant, std::string_view user) const {
  const TauView view = tau_.tau(keys_.tau_user(tenant, user));
  if (std::string_view(view.source) != "user") return std::nullopt;
  return view.tau;
}

bool CacheImpl::forget_tau(const base::Hash128& user) { return tau_.forget(user_of(user)); }

Result<ErasedSubject> CacheImpl::erase(std::string_view tenant, std::string_view subject,
                                       std::optional<std::string_view> name_space) {
  if (subject.empty()) return fail(ErrorCode::kInvalidArgument, "the subject must not be empty");
  const std::lock_guard lock(erase_mutex_);
  ErasedSubject erased;
  erased.requested_ms = clock_.wall_ms();
  const base::Hash128 user = hash_of_user(keys_.tau_user(tenant, subject));
  if (erasures_ != nullptr) {
    vault::Erasure wanted;
    wanted.time_ms = erased.requested_ms;
    wanted.subject = vault::subject_hash(secret_, tenant, subject);
    if (name_space) wanted.name_space = vault::namespace_hash(secret_, tenant, *name_space);
    wanted.user = user;
    EGPTC_TRY(const vault::Erasure noted, erasures_->begin(wanted));
    erased.ledger_sequence = noted.sequence;
  }
  // Answers under way may be about the subject, too; which are is not known before they are there.
  generations_.advance(name_space ? keys_.name_space(tenant, *name_space) : keys_.tenant(tenant));
  std::vector<RecordPtr> records = records_of(tenant, subject, name_space, nullptr, SIZE_MAX);
  erased.without_data_key = count_without_data_key(records, subject);
  erased.entries = entries_.remove(records, Count::kRemovals);
  // A tau belongs to the subject, not to a namespace.
  if (!name_space) {
    erased.taus = forget_tau(user) ? 1 : 0;
    if (!learned_state_.save_all()) return fail(ErrorCode::kIo, "what was learned cannot be written");
  }
  EGPTC_TRY_VOID(erase_from_disk(tenant, subject, name_space, std::move(records), erased));
  if (erasures_ != nullptr) EGPTC_TRY_VOID(erasures_->finish(erased.ledger_sequence, erased.entries));
  erased.completed_ms = clock_.wall_ms();
  return erased;
}

Result<void> CacheImpl::erase_from_disk(std::string_view tenant, std::string_view subject,
                                        std::optional<std::string_view> name_space,
                                        std::vector<RecordPtr> removed, ErasedSubject& erased) {
  if (log_ != nullptr) {
    log_->clear_quarantine();
    EGPTC_TRY_VOID(log_->commit());
  }
  // Stores that were under way when the entries were collected.
  std::vector<RecordPtr> late = records_of(tenant, subject, name_space, nullptr, SIZE_MAX);
  std::erase_if(late, [&](const RecordPtr& record) { return record->created_ms() > erased.requested_ms; });
  erased.without_data_key += count_without_data_key(late, subject);
  erased.entries += entries_.remove(late, Count::kRemovals);
  std::vector<base::Hash128> keys = keys_of(removed);
  for (const base::Hash128& key : keys_of(late)) keys.push_back(key);
  removed.clear();
  late.clear();
  if (vault_ != nullptr && vault_->subjects() != nullptr) {
    std::optional<base::Hash128> scope;
    if (name_space) scope = vault::namespace_hash(secret_, tenant, *name_space);
    EGPTC_TRY(erased.data_keys,
              vault_->subjects()->destroy(vault::subject_hash(secret_, tenant, subject), scope));
  }
  if (log_ == nullptr) return {};
  erased.is_stored = true;
  // With the key destroyed, bytes of the subject are noise wherever they still lie. Without one, entries that
  // left earlier may lie in any old file, under keys nobody knows any more: all files are written anew.
  const bool is_noise = vault_ != nullptr && vault_->encrypts() && erased.without_data_key == 0;
  if (is_noise && keys.empty()) return {};
  return log_->purge(is_noise ? std::span<const base::Hash128>(keys) : std::span<const base::Hash128>());
}

void CacheImpl::replay_erasures() {
  if (erasures_ == nullptr) return;
  const std::vector<vault::Erasure> pending = erasures_->pending();
  if (pending.empty()) return;
  // Their entries were left out when the table was loaded.
  for (const vault::Erasure& one : pending) {
    if (!one.name_space) forget_tau(one.user);
    if (vault_ == nullptr || vault_->subjects() == nullptr) continue;
    if (auto done = vault_->subjects()->destroy(one.subject, one.name_space); !done)
      return base::log_error("erasures are not finished: {}", done.error().message);
  }
  bool is_done = learned_state_.save_all();
  if (log_ != nullptr) {
    log_->clear_quarantine();
    const auto purged = log_->purge({});
    if (!purged) base::log_error("erasures are not finished: {}", purged.error().message);
    is_done = is_done && purged;
  }
  if (!is_done) return;
  for (const vault::Erasure& one : pending) {
    if (auto done = erasures_->finish(one.sequence, one.entries); !done)
      return base::log_error("erasures are not noted as finished: {}", done.error().message);
  }
  if (auto done = erasures_->note_replay(); !done)
    return base::log_error("erasures are not noted as replayed: {}", done.error().message);
  base::log_info("{} erasures that were pending are finished", pending.size());
}

}  // namespace enhanced_gptcache::cache
