#pragma once
// Entries as sealed bytes: those with a subject (else a user) under the subject's data key, the others under
// the master key. The exact key and id an entry is filed under are authenticated with it, so that no entry
// opens in the place of another.

#include <memory>
#include <string>

#include "store/entry_codec.h"
#include "vault/vault.h"

namespace enhanced_gptcache::store {

/// Whose entry it is: its subject, else the user it was answered for alone; empty: nobody's in particular.
std::string_view owner_of(const EntryView& entry);

/// What a client can write entries as: "key:...", "jwt:...", or the tenant where keys are not asked for. What
/// such a one wrote for others is sealed by other keys, and may lie in old files after it was removed.
bool is_client_name(std::string_view tenant, std::string_view name);
/// Names a person (as user or writer) other than its owner, and no client: that person's key does not seal
/// it.
bool is_shared(const EntryView& entry);

/// Thread rule: any thread.
class EntrySealer {
 public:
  EntrySealer(std::shared_ptr<vault::Vault> vault, const base::SecretKey& instance_key)
      : vault_(std::move(vault)), instance_key_(instance_key) {}

  /// `bytes` came from encode_entry. As they are while the vault does not encrypt. kIo: the keystore.
  Result<std::string> seal(const base::Hash128& key, const base::Hash128& id, std::string_view bytes) const;
  /// The bytes of an entry, which are still to be parsed; kYes only. Bytes without a seal are kDamaged where
  /// everything must have one, else they are taken as they are.
  vault::Opened open(const base::Hash128& key, const base::Hash128& id, std::string_view stored,
                     EntryBytes& into) const;
  vault::Vault& vault() const { return *vault_; }
  const std::shared_ptr<vault::Vault>& shared_vault() const { return vault_; }

 private:
  const std::shared_ptr<vault::Vault> vault_;
  const base::SecretKey instance_key_;
};

}  // namespace enhanced_gptcache::store
