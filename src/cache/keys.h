#pragma once
// What a prompt is filed under. Every key is a keyed hash over length-prefixed parts, so nobody without the
// instance's secret can aim at one: SipHash (base/short_hash.h) on the way of every hit, BLAKE2b
// (base/keyed_hash.h) for partitions. An exact hit is also compared with the request byte for byte.
//   exact key:  tenant, namespace, model, dialect, canonical request, user if user-scoped
//   partition:  tenant, namespace, policy epoch, model epoch, model, dialect, system prompt, shape, user if
//   user-scoped tau user:   tenant, user

#include <string>

#include "base/keyed_hash.h"
#include "base/short_hash.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "store/entry_codec.h"

namespace enhanced_gptcache::cache {

/// Raised when what may be served to whom changes, so that entries of the older rules are left alone.
inline constexpr std::string_view kPolicyEpoch = "2";

/// A prompt and whose entries it may use beside its tenant's: its user when it is scoped or speaks of its
/// asker, else empty. Telling that takes a look at each word, so it is done once. Refers to the prompt.
struct ScopedPrompt {
  explicit ScopedPrompt(const Prompt& its_prompt);
  const Prompt& prompt;
  const std::string_view user;
};

/// Thread rule: immutable.
class Keys {
 public:
  Keys(const base::SecretKey& secret, std::string_view model_epoch);

  base::Hash128 exact(const ScopedPrompt& scoped) const;
  base::Hash128 partition(const ScopedPrompt& scoped) const;
  base::Hash128 tenant(std::string_view tenant) const;
  /// Of what a flush of a namespace empties, and of a decision that feedback may come on (Generations).
  base::Hash128 name_space(std::string_view tenant, std::string_view name_space) const;
  base::Hash128 request(std::string_view request_id) const;
  /// Sixteen raw bytes: TauManager learns no names.
  std::string tau_user(std::string_view tenant, std::string_view user) const;
  /// What stands for a canonical request where its text must not be kept.
  std::string hashed_request(std::string_view canonical) const;
  /// Proves that a request id was given out by this instance.
  uint64_t request_tag(uint64_t number) const;
  const std::string& model_epoch() const { return model_epoch_; }

 private:
  const base::SecretKey secret_;
  // A key for each use, so that equal texts in different places have nothing in common.
  const base::ShortKey exact_key_;
  const base::ShortKey tenant_key_;
  const base::ShortKey tau_key_;
  const base::ShortKey request_key_;
  const std::string model_epoch_;
};

/// True when the entry was stored for exactly this request: all parts of the exact key, byte for byte, or,
/// where the entry holds no text, the canonical request by its hash.
bool is_same_request(const store::EntryView& entry, const ScopedPrompt& scoped, const Keys& keys);
/// Whether this stands for a canonical request (which is a JSON object) instead of being one.
bool is_hashed_request(std::string_view canonical);

/// A 128-bit number from 32 hexadecimal digits; false when `text` is none.
bool parse_hex128(std::string_view text, base::Hash128& hash);

}  // namespace enhanced_gptcache::cache
