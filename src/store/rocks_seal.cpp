#include "store/rocks_seal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace enhanced_gptcache::store {
namespace {

constexpr const char* kSchemaKey = "schema";
constexpr const char* kKeysKey = "sealed_by";
constexpr const char* kKeystoreKey = "keystore";
constexpr const char* kAllSealedKey = "all_sealed";

Result<std::string> read_meta(RocksDb& db, const char* name) {
  std::string value;
  const rocksdb::Status status = db.db->Get({}, db.meta, name, &value);
  if (!status.ok() && !status.IsNotFound()) return fail(error_of(status));
  return value;
}

/// Hexadecimal ids, a space after each.
std::vector<vault::KeyId> parse_ids(std::string_view text) {
  std::vector<vault::KeyId> ids;
  for (; text.size() >= 32; text.remove_prefix(std::min<size_t>(text.size(), 33))) {
    vault::KeyId id;
    std::from_chars(text.data(), text.data() + 16, id.high, 16);
    std::from_chars(text.data() + 16, text.data() + 32, id.low, 16);
    ids.push_back(id);
  }
  return ids;
}

std::string text_of(const std::vector<vault::KeyId>& ids) {
  std::string text;
  for (const vault::KeyId& id : ids) text += id.hex() + " ";
  return text;
}

}  // namespace

Result<void> RocksSeals::check(RocksDb& db, const std::string& folder, bool is_fresh) {
  EGPTC_TRY(const std::string written_keys, read_meta(db, kKeysKey));
  EGPTC_TRY(const std::string keystore, read_meta(db, kKeystoreKey));
  EGPTC_TRY(const std::string all_sealed, read_meta(db, kAllSealedKey));
  const std::lock_guard lock(mutex_);
  keys_ = parse_ids(written_keys);
  if (vault_ == nullptr) {
    if (keys_.empty()) return {};
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is sealed by the master key {} and storage.encryption is off without a key: name "
                    "the key again (nothing was changed)",
                    folder, keys_.front().hex()));
  }
  for (const vault::KeyId& id : keys_)
    if (!vault_->knows(id)) return fail(vault::unknown_master_key(folder, id));
  if (!keystore.empty()) EGPTC_TRY_VOID(check_keystore(folder, keystore));
  // The keystore's word is authenticated, the table's is not. With a table of elsewhere it is of another
  // time.
  const vault::SubjectKeys* subjects = vault_->subjects();
  const bool keystore_knows = subjects != nullptr && subjects->all_sealed() && !accepts_other_keystore_;
  is_all_sealed_ = keystore_knows || !all_sealed.empty() || is_fresh;
  vault_->accept_plain(!is_all_sealed_);
  return {};
}

Result<void> RocksSeals::set_all_sealed(bool is_all_sealed) const {
  vault::SubjectKeys* subjects = vault_->subjects();
  return subjects == nullptr ? Result<void>() : subjects->set_all_sealed(is_all_sealed);
}

Result<void> RocksSeals::begin(RocksDb& db, bool is_fresh) {
  if (vault_ == nullptr) return {};
  const std::lock_guard lock(mutex_);
  rocksdb::WriteBatch batch;
  if (vault_->encrypts()) {
    const vault::KeyId current = vault_->current_key();
    if (std::find(keys_.begin(), keys_.end(), current) == keys_.end()) keys_.push_back(current);
    put_all(db, batch);
    if (is_fresh) batch.Put(db.meta, kAllSealedKey, "1");
  } else {
    is_all_sealed_ = false;  // what is written from now on has no seal
    batch.Delete(db.meta, kAllSealedKey);
  }
  if (!is_all_sealed_) EGPTC_TRY_VOID(set_all_sealed(false));
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const rocksdb::Status status = db.db->Write(synced, &batch);
  if (!status.ok()) return fail(error_of(status));
  return is_all_sealed_ ? set_all_sealed(true) : Result<void>();
}

Result<void> RocksSeals::check_keystore(const std::string& folder, const std::string& written) const {
  vault::SubjectKeys* subjects = vault_->subjects();
  if (accepts_other_keystore_ || (subjects != nullptr && subjects->id().hex() == written)) return {};
  // One that was begun only now would hide from the next look that the right one is missing.
  const bool is_missing = subjects == nullptr || subjects->is_new();
  if (subjects != nullptr) subjects->discard_new();
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("{} belongs to the keystore {}, and the one at storage.keystore_path is {}: bring it "
                  "back, entries with a subject cannot be read without it (nothing was changed)",
                  folder, written, is_missing ? "missing" : "another"));
}

void RocksSeals::put_all(RocksDb& db, rocksdb::WriteBatch& batch) const {
  batch.Put(db.meta, kSchemaKey, std::to_string(schema_version_ | kSealedSchemaBit));
  batch.Put(db.meta, kKeysKey, text_of(keys_));
  if (const vault::SubjectKeys* subjects = vault_->subjects())
    batch.Put(db.meta, kKeystoreKey, subjects->id().hex());
}

void RocksSeals::add_key(RocksDb& db, rocksdb::WriteBatch& batch) {
  if (vault_ == nullptr || !vault_->encrypts()) return;
  const vault::KeyId current = vault_->current_key();
  const std::lock_guard lock(mutex_);
  if (std::find(keys_.begin(), keys_.end(), current) != keys_.end()) return;
  keys_.push_back(current);
  put_all(db, batch);
}

Result<void> RocksSeals::finish(RocksDb& db, const vault::KeyId& key) {
  if (vault_ == nullptr) return {};
  const std::lock_guard lock(mutex_);
  rocksdb::WriteBatch batch;
  if (vault_->encrypts()) {
    // One that became current a moment ago may have sealed something, too.
    keys_ = {key};
    if (const vault::KeyId current = vault_->current_key(); current != key) keys_.push_back(current);
    put_all(db, batch);
    batch.Put(db.meta, kAllSealedKey, "1");
  } else {
    keys_.clear();
    batch.Put(db.meta, kSchemaKey, std::to_string(schema_version_));
    for (const char* name : {kKeysKey, kKeystoreKey, kAllSealedKey}) batch.Delete(db.meta, name);
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const rocksdb::Status status = db.db->Write(synced, &batch);
  if (!status.ok()) return fail(error_of(status));
  if (vault_->encrypts()) EGPTC_TRY_VOID(set_all_sealed(true));
  vault_->accept_plain(false);
  return {};
}

std::vector<vault::KeyId> RocksSeals::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

}  // namespace enhanced_gptcache::store
