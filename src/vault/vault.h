#pragma once
// Encryption at rest as the parts that write files see it: bytes in, sealed bytes out. Bytes of a subject are
// sealed by the subject's data key, everything else by the current master key; every master key that is
// configured opens what it once sealed.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/cell.h"
#include "enhanced_gptcache/result.h"
#include "vault/key_ring.h"
#include "vault/subject_keys.h"

namespace enhanced_gptcache::vault {

struct VaultOptions {
  KeySource keys;
  /// False: what is sealed is opened, and written without a seal from now on (the way back).
  bool encrypts = true;
};

enum class Opened {
  kYes,
  kDamaged,       ///< changed, cut, moved from another place, or no sealed bytes
  kForeignKey,    ///< sealed by a master key that is not configured
  kKeyDestroyed,  ///< sealed by a data key that is not in the keystore
};

/// Thread rule: any thread, but open_keystore() comes first. Cost: about a microsecond and a byte a
/// nanosecond.
class Vault {
 public:
  /// As load_keys().
  static Result<std::shared_ptr<Vault>> open(const VaultOptions& options);

  /// As SubjectKeys::open. Once, before subjects are sealed or opened.
  Result<void> open_keystore(const std::string& path);
  /// Null before open_keystore().
  SubjectKeys* subjects() const { return subjects_.get(); }

  bool encrypts() const { return options_.encrypts; }
  /// Whether bytes without a seal may still be believed: true until everything there was has been sealed.
  bool accepts_plain() const { return accepts_plain_.load(std::memory_order_relaxed) || !encrypts(); }
  void accept_plain(bool accepts) { accepts_plain_.store(accepts, std::memory_order_relaxed); }

  std::string seal(std::string_view place, std::string_view plain) const;
  /// kIo: the keystore refuses a new key; kOverloaded: the tenant has as many as it may have.
  Result<std::string> seal_for(const SubjectRef& ref, std::string_view place, std::string_view plain) const;
  /// `out` has room for opened_bytes(sealed).
  Opened open(std::string_view place, std::string_view sealed, char* out) const;
  static size_t opened_bytes(std::string_view sealed) {
    return sealed.size() < kSealedExtraBytes ? 0 : sealed.size() - kSealedExtraBytes;
  }

  /// For files that are read and written whole; the place is `name`. Plain while encrypts() is false.
  std::string to_file(std::string_view name, std::string_view plain) const;
  /// kCorrupt: damaged, of another place, or without a seal where there must be one; kInvalidArgument:
  /// another master key, named.
  Result<std::string> from_file(std::string_view name, std::string bytes) const;

  KeyId current_key() const { return ring()->current().id; }
  /// Grows with every reload() that was taken.
  uint64_t key_changes() const { return key_changes_.load(std::memory_order_acquire); }
  std::vector<KeyId> key_ids() const;
  bool knows(const KeyId& id) const { return ring()->find(id) != nullptr; }
  /// Whether these bytes are as they would be written now.
  bool is_current(std::string_view bytes) const;
  /// Reads the keys again from where they came from. kInvalidArgument: one of `in_use` is missing, and the
  /// old ones stay; or as load_keys().
  Result<void> reload(const std::vector<KeyId>& in_use);
  /// Seals the keystore by the current master key.
  Result<void> rewrap() const;

 private:
  Vault(VaultOptions options, std::shared_ptr<const KeyRing> ring)
      : options_(std::move(options)), ring_(std::move(ring)) {}
  std::shared_ptr<const KeyRing> ring() const { return ring_.get(); }

  const VaultOptions options_;
  base::Cell<KeyRing> ring_;
  std::atomic<uint64_t> key_changes_{0};
  std::unique_ptr<SubjectKeys> subjects_;  // set once
  std::atomic<bool> accepts_plain_{true};
};

/// "written under the master key <id>, which is not among the configured ones..."
Error unknown_master_key(std::string_view what, const KeyId& id);

}  // namespace enhanced_gptcache::vault
