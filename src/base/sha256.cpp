#include "base/sha256.h"

#include <openssl/sha.h>

namespace enhanced_gptcache::base {

// OpenSSL's: with the processor's own instructions several times as fast as libsodium's, and models are
// large.
Sha256 sha256(std::string_view bytes) {
  Sha256 hash{};
  static_assert(sizeof(Sha256) == SHA256_DIGEST_LENGTH);
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), hash.data());
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
