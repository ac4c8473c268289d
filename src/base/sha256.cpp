#include "base/sha256.h"

#include <sodium.h>

namespace enhanced_gptcache::base {

// Needs no sodium_init: the function has no state and one implementation.
Sha256 sha256(std::string_view bytes) {
  Sha256 hash{};
  static_assert(sizeof(Sha256) == crypto_hash_sha256_BYTES);
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return hash;
}

std::string to_hex(const Sha256& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * hash.size());
  for (const unsigned char byte : hash) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15U];
  }
  return out;
}

}  // namespace enhanced_gptcache::base
