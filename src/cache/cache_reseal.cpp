// Sealing what is stored anew, while serving: after a new master key, or when encryption was switched on or
// off.

#include <algorithm>

#include "base/log.h"
#include "cache/cache_impl.h"
#include "match/pca_file.h"

namespace enhanced_gptcache::cache {
namespace {

/// What may wait for the disk because of it, so that stores go on.
constexpr size_t kBehindBytesMax = size_t{8} << 20U;
constexpr int64_t kRetryUs = 30'000'000;
constexpr size_t kFileBytesMax = size_t{128} << 20U;

/// A file that is written only when something was learned.
Result<void> reseal_file(const vault::Vault& vault, const std::string& path) {
  auto bytes = match::read_file(path, kFileBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return {};
  if (!bytes) return fail(std::move(bytes).error());
  if (vault.is_current(*bytes)) return {};
  const std::string name = path.substr(path.rfind('/') + 1);
  EGPTC_TRY(const std::string plain, vault.from_file(name, std::move(*bytes)));
  return match::write_file_atomically(path, vault.to_file(name, plain));
}

/// Its keys are sealed by master keys, too, until they are sealed again.
void add_keystore_keys(const vault::SubjectKeys& keystore, std::vector<std::string>& in_use) {
  for (const vault::KeyId& id : keystore.master_keys())
    if (std::find(in_use.begin(), in_use.end(), id.hex()) == in_use.end()) in_use.push_back(id.hex());
}

}  // namespace

Result<void> CacheImpl::reseal() {
  if (vault_ == nullptr || log_ == nullptr)
    return fail(ErrorCode::kUnsupported, "nothing is encrypted here: storage.encryption is off");
  begin_reseal();
  return {};
}

void CacheImpl::begin_reseal() {
  const std::lock_guard lock(reseal_.mutex);
  // The key first: whoever stores from now on seals by it or by a later one.
  reseal_.key_changes = vault_ == nullptr ? 0 : vault_->key_changes();
  reseal_.key = vault_ == nullptr ? vault::KeyId{} : vault_->current_key();
  reseal_.waiting.clear();
  for (const RecordPtr& record : entries_.all()) reseal_.waiting.push_back(record->id_hash());
  reseal_.count = reseal_.waiting.size();
  reseal_.is_running = true;
  base::log_info("storage: {} entries are written again, under the master key {}", reseal_.waiting.size(),
                 vault_ != nullptr && vault_->encrypts() ? reseal_.key.hex() : "(none)");
}

void CacheImpl::reseal_some() {
  if (!reseal_.is_running) return;
  while (log_->accepts() && log_->waiting_bytes() < kBehindBytesMax) {
    base::Hash128 next;
    {
      const std::lock_guard lock(reseal_.mutex);
      if (reseal_.waiting.empty()) break;
      next = reseal_.waiting.back();
      reseal_.waiting.pop_back();
      reseal_.count = reseal_.waiting.size();
    }
    entries_.log_again(next);
  }
  if (reseal_.count > 0 || clock_.mono_us() < reseal_.next_us) return;
  if (auto done = finish_reseal(); !done) {
    reseal_.next_us = clock_.mono_us() + kRetryUs;
    base::log_error("storage: what was written before is still there: {}", done.error().message);
  }
}

/// Under reseal_.mutex. Entries may have been sealed by a key that was current in between.
bool CacheImpl::reseal_is_outdated() const {
  return vault_ != nullptr && vault_->key_changes() != reseal_.key_changes;
}

Result<void> CacheImpl::finish_reseal() {
  vault::KeyId key;
  bool is_outdated = false;
  {
    const std::lock_guard lock(reseal_.mutex);
    key = reseal_.key;
    is_outdated = reseal_is_outdated();
  }
  if (is_outdated) {
    begin_reseal();
    return {};
  }
  EGPTC_TRY_VOID(log_->commit());
  if (vault_ != nullptr) {
    EGPTC_TRY_VOID(vault_->rewrap());
    if (!learned_state_.save_all()) return fail(ErrorCode::kIo, "what was learned cannot be written");
    const Options options = this->options();
    if (!options.pca.model_path.empty()) EGPTC_TRY_VOID(reseal_file(*vault_, options.pca.model_path));
  }
  EGPTC_TRY_VOID(log_->finish_reseal(key));
  const std::lock_guard lock(reseal_.mutex);
  // Another one was asked for meanwhile.
  if (!reseal_.waiting.empty() || reseal_is_outdated()) return {};
  reseal_.is_running = false;
  base::log_info("storage: everything is written as the settings say");
  return {};
}

EncryptionStats CacheImpl::encryption_stats() const {
  EncryptionStats stats;
  if (vault_ == nullptr) return stats;
  stats.is_on = vault_->encrypts();
  stats.current_key = vault_->current_key().hex();
  for (const vault::KeyId& id : vault_->key_ids()) stats.keys.push_back(id.hex());
  if (log_ != nullptr)
    for (const vault::KeyId& id : log_->seal_keys()) stats.keys_in_use.push_back(id.hex());
  if (vault_->subjects() != nullptr) {
    stats.data_keys = vault_->subjects()->count();
    add_keystore_keys(*vault_->subjects(), stats.keys_in_use);
  }
  stats.waiting = reseal_.count;
  stats.is_resealing = reseal_.is_running;
  return stats;
}

}  // namespace enhanced_gptcache::cache
