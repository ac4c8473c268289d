#pragma once
// Encryption at rest and erasure of one storage folder, opened from the settings in the order they need each
// other: master keys, the instance key they may seal, the keystore, the ledger.

#include <memory>
#include <string>

#include "app/storage_folder.h"
#include "base/keyed_hash.h"
#include "config/settings.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/result.h"
#include "vault/erasure_ledger.h"
#include "vault/vault.h"

namespace enhanced_gptcache::app {

struct VaultParts {
  std::shared_ptr<StorageFolder> lock;  ///< of the keystore's folder
  std::shared_ptr<vault::Vault> vault;  ///< null: no keys are configured
  base::SecretKey instance_key{};
  std::shared_ptr<vault::ErasureLedger> erasures;
  std::string keystore;          ///< its folder
  bool keystore_is_new = false;  ///< there was no such folder before
};

/// storage.keystore_path, or keystore inside the folder.
std::string keystore_folder(const config::Settings& settings, const std::string& folder);
std::string subject_keys_path(const std::string& keystore_folder);
std::string ledger_path(const std::string& keystore_folder);

/// The master keys; null when storage.encryption is off and none are named. Errors as vault::load_keys.
Result<std::shared_ptr<vault::Vault>> open_vault(const config::Settings& settings);
/// What opens backups: the keys of storage.backup_key_file or backup_keys, then the master keys. The first
/// one seals them. Null: none are named. Errors as vault::load_keys.
Result<std::shared_ptr<const vault::KeyRing>> backup_keys(const config::Settings& settings);
/// The instance key of the folder, sealed or not; made, and sealed, when it is missing. One that lies in the
/// folder is sealed from now on when the vault encrypts, and plain again when it does not. kInvalidArgument:
/// it is sealed and its key is not configured.
Result<base::SecretKey> open_instance_key(const config::Settings& settings, const std::string& folder,
                                          const vault::Vault* vault);
/// Would open_instance_key() take the one that is there? Changes nothing; a missing one is fine.
Result<void> check_instance_key(const config::Settings& settings, const std::string& folder,
                                const vault::Vault* vault);
/// The same without making or changing anything: for tools beside a running server. kNotFound.
Result<base::SecretKey> read_instance_key(const config::Settings& settings, const std::string& folder);
/// {"encryption", "current_key", "keys", "keys_in_use", "data_keys", "entries_waiting", "is_resealing"}
std::string encryption_json(const EncryptionStats& stats);
/// Requires what KeyId::hex() gave.
vault::KeyId parse_key_id(std::string_view hex);
/// Everything, for whoever owns the folder. kUnavailable: another process uses the keystore.
Result<VaultParts> open_vault_parts(const config::Settings& settings, const std::string& folder);
/// The same with the keys of open_vault().
Result<VaultParts> open_vault_parts(const config::Settings& settings, const std::string& folder,
                                    std::shared_ptr<vault::Vault> vault);
/// After a start that was refused because the stored entries belong to another keystore: takes back the empty
/// one that open_vault_parts() has begun, which would hide that the right one is missing.
void discard_new_keystore(VaultParts& parts);

}  // namespace enhanced_gptcache::app
