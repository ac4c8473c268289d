#pragma once
// Keyed hashing of structured input: BLAKE2b (RFC 7693) with a secret key, over length-prefixed
// parts, so that ("ab","c") and ("a","bc") differ and nobody without the key can aim at a value.

#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

/// 256 secret bits. Made by random_key(), kept in the storage folder.
using SecretKey = std::array<unsigned char, 32>;

/// 128 bits of a keyed hash. Comparable, usable as a map key (the bytes are uniform already).
struct Hash128 {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
  std::string hex() const;
};

struct Hash128Hasher {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

/// Any thread. Hash of the parts in order, each prefixed by its length; `domain` keeps uses apart
/// ("exact", "partition", "tenant"...).
Hash128 keyed_hash(const SecretKey& key, std::string_view domain,
                   std::initializer_list<std::string_view> parts);

/// From the operating system's generator.
SecretKey random_key();
/// `bytes` random bytes as lower-case hexadecimal: entry and request identifiers.
std::string random_hex(size_t bytes);

}  // namespace enhanced_gptcache::base
