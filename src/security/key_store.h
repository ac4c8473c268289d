#pragma once
// The keys of this installation: made, listed, rotated and revoked here, and checked on every request. Only
// a keyed hash of each is kept, in one file of the storage folder that is replaced as a whole.
//
// The hash is HMAC-SHA-256 under the instance key. A slow password hash (bcrypt, Argon2) would protect
// secrets that people choose and that a list of likely ones reaches; ours are 256 random bits, so there is
// nothing to guess, and every request has to pay for the check.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hmac.h"
#include "base/keyed_hash.h"
#include "security/identity.h"

namespace enhanced_gptcache::security {

/// What the maker of a key chooses. Empty lists do not restrict.
struct KeyWish {
  std::string name;  ///< for people, up to 128 bytes
  Role role = Role::kClient;
  std::string tenant;  ///< empty: one of its own
  std::vector<std::string> scopes, namespaces, controls;
  int64_t expires_ms = 0;  ///< wall clock; 0: never
  bool trusted = false;
};

/// One key as it is kept. `hash` and `old_hash` are HMACs in hexadecimal.
struct KeyRecord {
  std::string prefix;
  KeyWish wish;
  int64_t created_ms = 0, rotated_ms = 0, revoked_ms = 0;  ///< 0: not
  std::string source;  ///< "created", "file" (security.admin_key_file) or "first_start"
  std::string hash;
  std::string old_hash;  ///< before the last rotation
  int64_t old_until_ms = 0;
};

struct NewKey {
  std::string key;  ///< in clear: shown to its owner, kept nowhere
  KeyRecord record;
};

/// Thread rule: any thread. authenticate() waits for nobody.
class KeyStore {
 public:
  /// Reads `<folder>/api_keys.json`, or starts empty. kCorrupt: damaged, with what to do; kInvalidArgument:
  /// others may read or write it; kIo.
  static Result<std::unique_ptr<KeyStore>> open(const std::string& folder,
                                                const base::SecretKey& instance_key,
                                                const base::Clock& clock = base::system_clock());
  ~KeyStore();
  KeyStore(const KeyStore&) = delete;
  KeyStore& operator=(const KeyStore&) = delete;

  /// Who holds this key; null: nobody, or not any more. One HMAC and one table look-up.
  IdentityPtr authenticate(std::string_view key) const;

  /// kInvalidArgument names the field. Durable when it returns.
  Result<NewKey> create(const KeyWish& wish);
  /// A new secret under the same prefix; the old one goes on for `grace_ms` (0: ends at once). kNotFound.
  Result<NewKey> rotate(std::string_view prefix, int64_t grace_ms);
  /// Effective for every request that is not admitted yet, also when it fails with kIo, which says that a
  /// restart would bring the key back. kNotFound, also when it was revoked before. kUnsupported: with
  /// `keeps_an_admin`, and no admin's key would be left.
  Result<void> revoke(std::string_view prefix, bool keeps_an_admin = false);
  /// Takes over a key that somebody else made (security.admin_key_file) as an admin's, in place of the one
  /// taken over before.
  Result<void> adopt_admin(std::string_view key);
  /// Forgets the key taken over by adopt_admin(), if there is one.
  Result<void> drop_adopted();
  /// In the order they were made, revoked ones included.
  std::vector<KeyRecord> list() const;
  bool has_active_admin() const;
  /// Was a client's or operator's key ever made for another tenant than this (Identity::tenant)? What a
  /// revoked one left at a provider is still there. Waits for nobody.
  bool has_other_tenant(std::string_view tenant) const;
  const std::string& path() const { return path_; }

 private:
  struct Table;
  KeyStore(std::string path, const base::SecretKey& instance_key, const base::Clock& clock);
  std::string hash_of(std::string_view key) const;
  /// Writes the file, then swaps the table; with `in_any_case` swaps it even when the file could not be
  /// written.
  Result<void> commit(std::vector<KeyRecord> records, bool in_any_case = false);
  std::shared_ptr<const Table> table() const;
  void publish(std::shared_ptr<const Table> fresh);

  const std::string path_;
  const base::HmacSha256 hmac_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;  // writers one after another
  std::atomic<std::shared_ptr<const Table>*> table_;
};

/// `{"prefix", "name", "role", ...}` without anything secret.
std::string key_json(const KeyRecord& record, int64_t now_ms);

}  // namespace enhanced_gptcache::security
