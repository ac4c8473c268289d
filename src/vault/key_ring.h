#pragma once
// The master keys of an installation: the first one seals what is written, all of them open what was. A key
// is named by a hash of itself, so a wrong key under the right name cannot be mistaken for the right one.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "vault/cipher.h"

namespace enhanced_gptcache::vault {

/// Sixteen bytes of HMAC-SHA-256 under the key.
using KeyId = base::Hash128;
KeyId key_id_of(const base::SecretKey& key);

struct MasterKey {
  KeyId id;
  std::shared_ptr<const Cipher> cipher;
};

/// Thread rule: immutable.
class KeyRing {
 public:
  /// At least one.
  explicit KeyRing(std::vector<MasterKey> keys) : keys_(std::move(keys)) {}
  const MasterKey& current() const { return keys_.front(); }
  /// Null: not here.
  const MasterKey* find(const KeyId& id) const;
  const std::vector<MasterKey>& keys() const { return keys_; }

 private:
  std::vector<MasterKey> keys_;
};

/// Where the keys are; exactly one of the three.
struct KeySource {
  std::string text;     ///< the keys themselves
  std::string file;     ///< 0400 or 0600 and ours; of root, it may be readable by the group
  std::string command;  ///< run by /bin/sh; prints the keys within kKeyCommandSeconds
  std::string setting = "storage.encryption_key";  ///< what messages call it: with s, _file or _command
  bool is_set() const { return !text.empty() || !file.empty() || !command.empty(); }
};
inline constexpr int kKeyCommandSeconds = 30;

/// Keys of 64 hexadecimal digits, separated by line ends, spaces or commas; # begins a comment.
/// kInvalidArgument names `where` and the key's number, never the key.
Result<std::shared_ptr<const KeyRing>> parse_keys(std::string_view text, const std::string& where);
/// kNotFound, kIo, kInvalidArgument: with the reason; others may use the file, the command failed, ...
Result<std::shared_ptr<const KeyRing>> load_keys(const KeySource& source);

}  // namespace enhanced_gptcache::vault
