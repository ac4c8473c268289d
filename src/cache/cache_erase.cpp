// Erasing a subject: from memory, from every file, and from what older backups can still be opened with. The
// order matters. The ledger comes first, so that whatever happens then is finished at the next start; the
// data keys go after the last write that could use them, and the files are rewritten at the end.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_set>

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

/// An entry dated before an erasure that has already collected what it removes: it would be served until the
/// next start found it erased. Cheap for all others.
bool CacheImpl::withdraw_if_erased(const RecordPtr& record) {
  if (record->created_ms() > erased_until_ms_.load() || !is_erased(*record)) return false;
  entries_.remove({&record, 1}, Count::kRemovals);
  return true;
}

std::vector<RecordPtr> CacheImpl::records_of(std::string_view tenant, std::string_view subject,
                                             std::optional<std::string_view> name_space,
                                             uint64_t sequence_end) const {
  return entries_.scopes().newest(tenant, name_space, nullptr, SIZE_MAX, [&](const Record& record) {
    return record.sequence < sequence_end && is_of(record, subject);
  });
}

/// The run of the process and the entry's number in it: it holds when the entry itself has left.
std::string CacheImpl::subject_cursor(const Entry& last) const {
  return fmt::format("{}{:016x}", run_, static_cast<const Record&>(last).sequence);
}

Result<std::vector<EntryPtr>> CacheImpl::list_subject(std::string_view tenant, std::string_view subject,
                                                      std::optional<std::string_view> name_space,
                                                      size_t limit, std::string_view cursor) const {
  uint64_t end = UINT64_MAX;
  if (!cursor.empty()) {
    const std::string_view number = cursor.substr(std::min(run_.size(), cursor.size()));
    const auto [rest, error] = std::from_chars(number.data(), number.data() + number.size(), end, 16);
    if (number.size() != 16 || error != std::errc() || rest != number.data() + number.size())
      return fail(ErrorCode::kInvalidArgument, "cursor: must be a next_cursor of this list");
    if (!cursor.starts_with(run_))
      return fail(ErrorCode::kNotFound, "cursor: it is from before a restart; begin again without one");
  }
  std::vector<RecordPtr> records = records_of(tenant, subject, name_space, end);
  std::sort(records.begin(), records.end(),
            [](const RecordPtr& a, const RecordPtr& b) { return a->sequence > b->sequence; });
  records.resize(std::min(records.size(), limit));
  return std::vector<EntryPtr>(records.begin(), records.end());
}

uint64_t CacheImpl::count_without_data_key(std::span<const RecordPtr> records,
                                           std::string_view subject) const {
  if (vault_ == nullptr || !vault_->encrypts()) return records.size();
  return static_cast<uint64_t>(std::count_if(records.begin(), records.end(), [&](const RecordPtr& record) {
    return store::owner_of(record->view()) != subject;
  }));
}

std::optional<double> CacheImpl::learned_threshold(std::string_view tenant, std::string_view user) const {
  const TauView view = tau_.tau(keys_.tau_user(tenant, user), tenant);
  if (std::string_view(view.source) != "user") return std::nullopt;
  return view.tau;
}

bool CacheImpl::forget_tau(const base::Hash128& user) { return tau_.forget(user_of(user)); }

/// Some entry was about one person and for, or by, another: it died with one key of the two at most.
bool CacheImpl::has_shared_entries() const {
  return vault_ != nullptr && vault_->subjects() != nullptr && vault_->subjects()->has_shared_entries();
}

/// Erasures of the subject that were not finished, and which of them this one finishes, too.
std::vector<vault::Erasure> CacheImpl::unfinished_of(const base::Hash128& subject) const {
  if (erasures_ == nullptr) return {};
  std::vector<vault::Erasure> unfinished = erasures_->pending();
  std::erase_if(unfinished, [&](const vault::Erasure& one) { return one.is_done || one.subject != subject; });
  return unfinished;
}

Result<ErasedSubject> CacheImpl::erase(std::string_view tenant, std::string_view subject,
                                       std::optional<std::string_view> name_space) {
  if (subject.empty()) return fail(ErrorCode::kInvalidArgument, "the subject must not be empty");
  const std::lock_guard lock(erase_mutex_);
  ErasedSubject erased;
  erased.requested_ms = clock_.wall_ms();
  const base::Hash128 user = hash_of_user(keys_.tau_user(tenant, subject));
  vault::Erasure wanted;
  wanted.time_ms = erased.requested_ms;
  wanted.subject = vault::subject_hash(secret_, tenant, subject);
  if (name_space) wanted.name_space = vault::namespace_hash(secret_, tenant, *name_space);
  wanted.user = user;
  const std::vector<vault::Erasure> unfinished = unfinished_of(wanted.subject);
  if (erasures_ != nullptr) {
    EGPTC_TRY(const vault::Erasure noted, erasures_->begin(wanted));
    erased.ledger_sequence = noted.sequence;
  }
  erased_until_ms_ = std::max(erased_until_ms_.load(), erased.requested_ms);
  // Answers under way may be about the subject, too; which are is not known before they are there.
  generations_.advance(name_space ? keys_.name_space(tenant, *name_space) : keys_.tenant(tenant));
  std::vector<RecordPtr> records = records_of(tenant, subject, name_space);
  erased.without_data_key = count_without_data_key(records, subject);
  erased.entries = entries_.remove(records, Count::kRemovals);
  // A tau belongs to the subject, not to a namespace.
  if (!name_space) {
    erased.taus = forget_tau(user) ? 1 : 0;
    if (!learned_state_.save_all()) return fail(ErrorCode::kIo, "what was learned cannot be written");
  }
  const bool needs_purge =
      !unfinished.empty() || store::is_client_name(tenant, subject) || has_shared_entries();
  EGPTC_TRY_VOID(
      erase_from_disk({tenant, subject, name_space, wanted, needs_purge}, std::move(records), erased));
  if (erasures_ != nullptr) EGPTC_TRY_VOID(erasures_->finish(erased.ledger_sequence, erased.entries));
  for (const vault::Erasure& one : unfinished)
    if (!wanted.name_space || one.name_space == wanted.name_space)
      EGPTC_TRY_VOID(erasures_->finish(one.sequence, 0));
  erased.completed_ms = clock_.wall_ms();
  return erased;
}

/// Stores that were under way when the entries were collected are taken out, too; their keys.
std::vector<base::Hash128> CacheImpl::remove_late(const Erasing& erasing, ErasedSubject& erased) {
  std::vector<RecordPtr> late = records_of(erasing.tenant, erasing.subject, erasing.name_space);
  std::erase_if(late, [&](const RecordPtr& record) { return record->created_ms() > erased.requested_ms; });
  erased.without_data_key += count_without_data_key(late, erasing.subject);
  erased.entries += entries_.remove(late, Count::kRemovals);
  return keys_of(late);
}

/// What was stored for the subject since, or by it for others, is sealed anew before the keys go.
Result<void> CacheImpl::destroy_keys(const Erasing& erasing, ErasedSubject& erased) {
  if (vault_ == nullptr || vault_->subjects() == nullptr) return {};
  vault::SubjectKeys& keys = *vault_->subjects();
  if (keys.retire(erasing.wanted.subject, erasing.wanted.name_space) == 0) return {};
  for (const RecordPtr& record : records_of(erasing.tenant, erasing.subject, erasing.name_space))
    entries_.log_again(record);
  if (log_ != nullptr) EGPTC_TRY_VOID(log_->commit());
  EGPTC_TRY(erased.data_keys, keys.destroy_retired(erasing.wanted.subject, erasing.wanted.name_space));
  return {};
}

Result<void> CacheImpl::erase_from_disk(const Erasing& erasing, std::vector<RecordPtr> removed,
                                        ErasedSubject& erased) {
  if (log_ != nullptr) EGPTC_TRY_VOID(log_->commit());
  std::vector<base::Hash128> keys = keys_of(removed);
  removed.clear();
  for (const base::Hash128& key : remove_late(erasing, erased)) keys.push_back(key);
  // Before the keys go: a reseal that ends meanwhile has not sealed what was removed before it.
  const bool is_all_sealed =
      vault_ != nullptr && vault_->encrypts() && !vault_->accepts_plain() && !reseal_.is_running;
  EGPTC_TRY_VOID(destroy_keys(erasing, erased));
  erased.died_with_keys =
      is_all_sealed && erased.data_keys > 0 && erased.without_data_key == 0 && !erasing.needs_purge;
  if (log_ == nullptr) return {};
  // With the keys destroyed, bytes of the subject are noise wherever they still lie. Else entries that left
  // earlier may lie in any old file, under keys nobody knows any more: all files are written anew.
  if (erased.died_with_keys && keys.empty()) {
    log_->clear_quarantine();  // what was put aside may be older than its seals
    return {};
  }
  EGPTC_TRY_VOID(log_->purge(erased.died_with_keys ? std::span<const base::Hash128>(keys)
                                                   : std::span<const base::Hash128>()));
  erased.is_stored = true;
  return {};
}

/// An erasure that was finished has taken all keys of its time; one that was not may have met later ones.
/// What is live was not erased, and is sealed anew before any key goes.
Result<void> CacheImpl::destroy_keys_of(std::span<const vault::Erasure> pending) {
  if (vault_ == nullptr || vault_->subjects() == nullptr) return {};
  vault::SubjectKeys& keys = *vault_->subjects();
  std::unordered_set<base::Hash128, base::Hash128Hasher> subjects;
  for (const vault::Erasure& one : pending)
    if (keys.retire(one.subject, one.name_space, one.is_done ? one.time_ms : INT64_MAX) > 0)
      subjects.insert(one.subject);
  if (subjects.empty()) return {};
  for (const RecordPtr& record : entries_.all()) {
    const std::string_view owner = store::owner_of(record->view());
    if (!owner.empty() && subjects.contains(vault::subject_hash(secret_, record->tenant(), owner)))
      entries_.log_again(record);
  }
  if (log_ != nullptr) EGPTC_TRY_VOID(log_->commit());
  for (const vault::Erasure& one : pending) EGPTC_TRY_VOID(keys.destroy_retired(one.subject, one.name_space));
  return {};
}

void CacheImpl::replay_erasures() {
  if (erasures_ == nullptr) return;
  const std::vector<vault::Erasure> pending = erasures_->pending();
  if (pending.empty()) return;
  // Their entries were left out when the table was loaded.
  for (const vault::Erasure& one : pending)
    if (!one.name_space) forget_tau(one.user);
  if (auto done = destroy_keys_of(pending); !done)
    return base::log_error("erasures are not finished: {}", done.error().message);
  bool is_done = learned_state_.save_all();
  if (log_ != nullptr) {
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
