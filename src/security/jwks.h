#pragma once
// The public keys that tokens are signed with: a JSON Web Key Set (RFC 7517). Each key is good for one
// algorithm, by what it is and not by what a token says.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {

enum class JwtAlgorithm { kRs256, kEs256 };
std::string_view to_string(JwtAlgorithm algorithm);

/// Thread rule: immutable; verify() from any thread.
class JwkSet {
 public:
  /// RSA keys of 2048 to 8192 bits become RS256, EC keys on P-256 ES256; keys of other kinds or for
  /// encryption are left out. kInvalidArgument: no JSON, no usable key, too many, a private or symmetric key
  /// (which must not be where public ones are), or two with one name.
  static Result<JwkSet> parse(std::string_view json);

  JwkSet() = default;
  size_t size() const { return keys_.size(); }
  bool has(std::string_view key_id) const;
  /// `signature` as it stands in the token, decoded. An empty `key_id` is enough only where there is one key.
  bool verify(JwtAlgorithm algorithm, std::string_view key_id, std::string_view message,
              std::string_view signature) const;

 private:
  struct Key;
  const Key* find(std::string_view key_id) const;
  std::vector<std::shared_ptr<const Key>> keys_;
};

inline constexpr size_t kJwksBytesMax = size_t{256} << 10U;

}  // namespace enhanced_gptcache::security
