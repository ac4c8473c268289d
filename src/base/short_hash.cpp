#include "base/short_hash.h"

#include <sodium.h>

#include <memory>

namespace enhanced_gptcache::base {
namespace {

/// Requests up to this length are laid out on the stack.
constexpr size_t kStackBytes = 4096;

Hash128 hash_bytes(const ShortKey& key, char* buffer, size_t bytes,
                   std::initializer_list<std::string_view> parts) {
  char* at = buffer;
  for (const std::string_view part : parts) {
    const uint64_t length = part.size();
    std::memcpy(at, &length, sizeof length);
    at += sizeof length;
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  unsigned char out[crypto_shorthash_siphashx24_BYTES];
  crypto_shorthash_siphashx24(out, reinterpret_cast<const unsigned char*>(buffer), bytes, key.data());
  Hash128 hash;
  std::memcpy(&hash.high, out, sizeof hash.high);
  std::memcpy(&hash.low, out + sizeof hash.high, sizeof hash.low);
  return hash;
}

}  // namespace

ShortKey derive_short_key(const SecretKey& secret, std::string_view domain) {
  const Hash128 hash = keyed_hash(secret, "short key", {domain});
  ShortKey key;
  static_assert(crypto_shorthash_siphashx24_KEYBYTES == std::tuple_size_v<ShortKey>);
  std::memcpy(key.data(), &hash.high, sizeof hash.high);
  std::memcpy(key.data() + sizeof hash.high, &hash.low, sizeof hash.low);
  return key;
}

Hash128 short_hash(const ShortKey& key, std::initializer_list<std::string_view> parts) {
  size_t bytes = 0;
  for (const std::string_view part : parts) bytes += sizeof(uint64_t) + part.size();
  if (bytes <= kStackBytes) {
    char buffer[kStackBytes];
    return hash_bytes(key, buffer, bytes, parts);
  }
  const auto buffer = std::make_unique_for_overwrite<char[]>(bytes);
  return hash_bytes(key, buffer.get(), bytes, parts);
}

}  // namespace enhanced_gptcache::base
