#pragma once
// What was asked to be erased, for good: an append-only file of keyed hashes, each line chained to the one
// before by a keyed checksum (docs/formats.md). It is written before anything is erased and again when all of
// it is gone, so that a start finishes what a crash cut short and a restored backup loses again what was
// erased since.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::vault {

/// Keyed hashes under the instance key.
base::Hash128 subject_hash(const base::SecretKey& instance_key, std::string_view tenant,
                           std::string_view subject);
base::Hash128 namespace_hash(const base::SecretKey& instance_key, std::string_view tenant,
                             std::string_view name_space);
base::Hash128 tenant_hash(const base::SecretKey& instance_key, std::string_view tenant);

struct Erasure {
  uint64_t sequence = 0;
  int64_t time_ms = 0;                      ///< wall clock; entries created until then are erased
  base::Hash128 subject;                    ///< subject_hash()
  std::optional<base::Hash128> name_space;  ///< namespace_hash(); none: all of the subject
  base::Hash128 user;                       ///< names the subject's tau
  bool is_done = false;
  uint64_t entries = 0;  ///< removed, when it was done
};

/// Thread rule: any thread; appending waits for the disk.
class ErasureLedger {
 public:
  /// Makes the file (0600) when it is missing. A last line that was cut by a crash is taken away; damaged
  /// lines are counted and skipped. kInvalidArgument: of another instance key; kIo.
  static Result<std::shared_ptr<ErasureLedger>> open(const std::string& path,
                                                     const base::SecretKey& instance_key);
  ~ErasureLedger();
  ErasureLedger(const ErasureLedger&) = delete;
  ErasureLedger& operator=(const ErasureLedger&) = delete;

  /// On disk for good when it returns. `wanted` without sequence. kIo.
  Result<Erasure> begin(Erasure wanted);
  Result<void> finish(uint64_t sequence, uint64_t entries);
  /// All of it applies again: data of an earlier time was put in place.
  Result<void> note_restore();
  /// Everything was applied.
  Result<void> note_replay();
  /// Takes in what `other`, of the same instance, knows and this one does not.
  Result<void> merge(const ErasureLedger& other);

  /// True when an erasure covers what was created then for this subject.
  bool covers(const base::Hash128& subject, const base::Hash128& name_space, int64_t created_ms) const;
  bool empty() const;
  std::vector<Erasure> all() const;
  /// Begun and not finished; all of them after a restore.
  std::vector<Erasure> pending() const;
  /// Lines that could not be read.
  size_t damaged() const { return damaged_; }
  const base::SecretKey& instance_key() const { return key_; }

 private:
  ErasureLedger(std::string path, int fd, const base::SecretKey& key)
      : path_(std::move(path)), fd_(fd), key_(key) {}
  Result<void> read_all();
  bool take_line(std::string_view line);
  void apply(const Erasure& erasure);
  Result<void> append(std::string_view what, const Erasure& erasure);
  std::string mac_of(std::string_view line) const;

  const std::string path_;
  const int fd_;
  const base::SecretKey key_;
  size_t damaged_ = 0;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<Erasure> erasures_;
  std::unordered_map<base::Hash128, std::vector<size_t>, base::Hash128Hasher> by_subject_;  // into erasures_
  std::string last_mac_;
  uint64_t sequence_ = 0;
  bool needs_replay_ = false;
};

}  // namespace enhanced_gptcache::vault
