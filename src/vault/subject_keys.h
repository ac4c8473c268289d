#pragma once
// Data keys of subjects, each sealed by a master key, in one file that backups leave out: whoever destroys a
// subject's key has erased the subject from every copy of the entries, older backups included. A key has a
// slot of its own that is overwritten in place when it is destroyed (docs/formats.md).

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "vault/sealed.h"

namespace enhanced_gptcache::vault {

/// Whose entries, as keyed hashes: nothing of a name is in the file.
struct SubjectRef {
  base::Hash128 subject;      ///< of tenant and subject
  base::Hash128 name_space;   ///< of tenant and namespace
  base::Hash128 tenant = {};  ///< whose share of the keystore a new key is taken from; zeros: nobody's
  friend bool operator==(const SubjectRef& a, const SubjectRef& b) {
    return a.subject == b.subject && a.name_space == b.name_space;
  }
};

struct DataKey {
  KeyId id;  ///< random
  std::shared_ptr<const Cipher> cipher;
};

/// Thread rule: any thread.
class SubjectKeys {
 public:
  /// Makes the file (0600) when it is missing; then it is_new(). kInvalidArgument: a key in it, or the file
  /// itself, is sealed by a master key that `ring` lacks, named; kCorrupt: no such file; kIo. A slot that is
  /// damaged is counted and left alone.
  static Result<std::unique_ptr<SubjectKeys>> open(const std::string& path,
                                                   std::shared_ptr<const KeyRing> ring);
  ~SubjectKeys();
  SubjectKeys(const SubjectKeys&) = delete;
  SubjectKeys& operator=(const SubjectKeys&) = delete;

  /// The subject's key, made when there is none. It is in the file when this returns and survives a loss of
  /// power after sync(). kIo; kOverloaded: the tenant, or the keystore, has as many keys as it may have.
  Result<DataKey> key_for(const SubjectRef& ref);
  /// Null: there is no such key, or it was destroyed.
  std::shared_ptr<const Cipher> find(const KeyId& id) const;
  Result<void> sync();
  /// The subject's keys, in one namespace or all, that were made until then (wall clock) seal nothing from
  /// now on and open what they sealed until destroy_retired(): what must survive is sealed anew in between.
  /// How many. They are as before after a restart.
  size_t retire(const base::Hash128& subject, const std::optional<base::Hash128>& name_space,
                int64_t created_until_ms = INT64_MAX);
  /// Destroys what was retired, for good; how many. kIo: some may be left.
  Result<size_t> destroy_retired(const base::Hash128& subject,
                                 const std::optional<base::Hash128>& name_space);
  /// Both: for whoever keeps nothing that they seal.
  Result<size_t> destroy(const base::Hash128& subject, const std::optional<base::Hash128>& name_space,
                         int64_t created_until_ms = INT64_MAX);
  /// Seals every key by the current one of `ring` from now on. kInvalidArgument: one is sealed by a master
  /// key that `ring` lacks, and nothing was changed; kIo: some are as before, which is no harm.
  Result<void> rewrap(std::shared_ptr<const KeyRing> ring);
  /// The master keys that something in the file may be sealed by.
  std::vector<KeyId> master_keys() const;
  /// Whether nothing that the keystore belongs to is without a seal any more; authenticated in the file, so
  /// that whoever can write there cannot have plain bytes believed again. On disk when it returns. kIo.
  Result<void> set_all_sealed(bool is_all_sealed);
  bool all_sealed() const;
  /// From now on has_shared_entries(), for good: something was sealed that is also about somebody whose key
  /// does not seal it, so that destroying that one's keys is not enough. Synced before it returns. kIo.
  Result<void> note_shared_entry();
  bool has_shared_entries() const;
  /// How many keys one tenant may have.
  void set_tenant_keys_max(size_t keys_max);

  /// Random, kept for the life of the file: names it in what is sealed by its keys.
  const KeyId& id() const { return id_; }
  bool is_new() const { return is_new_; }
  /// Removes a file that open() has made and nobody has got a key of.
  void discard_new();
  size_t count() const {
    const std::lock_guard lock(mutex_);
    return ciphers_.size();
  }
  size_t damaged() const { return damaged_; }

 private:
  struct Slot {
    uint64_t number = 0;
    SubjectRef ref;
    int64_t created_ms = 0;
    DataKey key;
    bool is_retired = false;
  };
  struct RefHasher {
    size_t operator()(const SubjectRef& ref) const {
      return static_cast<size_t>(ref.subject.low ^ ref.name_space.high);
    }
  };

  SubjectKeys(std::string path, int fd, std::shared_ptr<const KeyRing> ring)
      : path_(std::move(path)), fd_(fd), ring_(std::move(ring)) {}
  Result<void> begin_file();
  Result<void> write_head(bool is_all_sealed, bool has_shared_entries);
  Result<void> read_file();
  Result<bool> read_slot(uint64_t number, std::string& bytes) const;
  Result<std::vector<KeyId>> wrapping_keys() const;
  Result<void> take_slot(uint64_t number, std::string_view bytes);
  Result<void> write_slot(const Slot& slot, std::string_view plain_key);
  Result<void> write_at(uint64_t number, std::string_view bytes);
  void file(Slot slot);
  void forget(const Slot& slot);
  void note_master(const KeyId& id);
  Result<void> check_room(const SubjectRef& ref) const;
  Error io_error(const char* what) const;

  const std::string path_;
  const int fd_;
  KeyId id_;
  bool is_new_ = false;
  size_t damaged_ = 0;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::shared_ptr<const KeyRing> ring_;
  std::unordered_map<SubjectRef, DataKey, RefHasher> current_;  // what seals; the newest of a ref's slots
  std::unordered_map<KeyId, std::shared_ptr<const Cipher>, base::Hash128Hasher> ciphers_;
  std::unordered_map<base::Hash128, std::vector<Slot>, base::Hash128Hasher> slots_;  // all, by subject
  std::unordered_map<base::Hash128, size_t, base::Hash128Hasher> tenants_;           // keys of each
  size_t tenant_keys_max_ = size_t{1} << 20U;
  std::vector<KeyId> masters_;
  bool is_all_sealed_ = false;
  bool has_shared_entries_ = false;
  std::vector<uint64_t> free_;
  uint64_t slot_count_ = 1;  // the head of the file is number 0
  bool is_unsynced_ = false;
};

}  // namespace enhanced_gptcache::vault
