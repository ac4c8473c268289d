#pragma once
// What a table remembers about the keys its entries are sealed by, so that a missing key is an error at start
// and never taken for damage.

#include <mutex>
#include <string>
#include <vector>

#include "store/rocks_db.h"
#include "vault/vault.h"

namespace enhanced_gptcache::store {

/// Added to the schema version on disk while entries may be sealed: builds that cannot open them refuse the
/// table instead of taking every entry for damaged.
inline constexpr uint32_t kSealedSchemaBit = 1U << 16U;

/// Thread rule: check() first; then any thread.
class RocksSeals {
 public:
  /// `vault` null: nothing is sealed here, and a table in which something is, is refused.
  RocksSeals(std::shared_ptr<vault::Vault> vault, uint32_t schema_version, bool accepts_other_keystore)
      : vault_(std::move(vault)),
        schema_version_(schema_version),
        accepts_other_keystore_(accepts_other_keystore) {}

  /// kInvalidArgument: a key or the keystore is missing, named; nothing was changed. `is_fresh`: there is no
  /// entry yet.
  Result<void> check(RocksDb& db, const std::string& folder, bool is_fresh);
  /// Writes down what must be known before the first sealed entry is. After check() and migrations.
  Result<void> begin(RocksDb& db, bool is_fresh);
  /// Adds to a batch of entries what must be known before they are: the key they are sealed by.
  void add_key(RocksDb& db, rocksdb::WriteBatch& batch);
  /// Every entry has been written again while `key` was current: keys that sealed older ones are not needed
  /// any more.
  Result<void> finish(RocksDb& db, const vault::KeyId& key);
  std::vector<vault::KeyId> keys() const;

 private:
  void put_all(RocksDb& db, rocksdb::WriteBatch& batch) const;
  Result<void> set_all_sealed(bool is_all_sealed) const;
  Result<void> check_keystore(const std::string& folder, const std::string& written) const;

  const std::shared_ptr<vault::Vault> vault_;
  const uint32_t schema_version_;
  const bool accepts_other_keystore_;
  mutable std::mutex mutex_;
  std::vector<vault::KeyId> keys_;  // guarded by mutex_
  bool is_all_sealed_ = false;      // check() to begin()
};

}  // namespace enhanced_gptcache::store
