#include "base/keyed_hash.h"

#include <sodium.h>

#include <vector>

#include "base/check.h"

namespace enhanced_gptcache::base {
namespace {

void ensure_sodium() {
  static const int ready = sodium_init();
  EGPTC_CHECK(ready >= 0);
}

void update_length(crypto_generichash_state& state, uint64_t length) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(length >> (8 * i));
  crypto_generichash_update(&state, bytes, sizeof bytes);
}

void update_part(crypto_generichash_state& state, std::string_view part) {
  update_length(state, part.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(part.data()), part.size());
}

}  // namespace

std::string Hash128::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(32, '0');
  for (int i = 0; i < 16; ++i) {
    out[static_cast<size_t>(15 - i)] = kDigits[(high >> (4 * i)) & 15U];
    out[static_cast<size_t>(31 - i)] = kDigits[(low >> (4 * i)) & 15U];
  }
  return out;
}

Hash128 keyed_hash(const SecretKey& key, std::string_view domain,
                   std::initializer_list<std::string_view> parts) {
  ensure_sodium();
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.data(), key.size(), 16);
  update_part(state, domain);
  for (const std::string_view part : parts) update_part(state, part);
  unsigned char out[16];
  crypto_generichash_final(&state, out, sizeof out);
  Hash128 hash;
  std::memcpy(&hash.high, out, 8);
  std::memcpy(&hash.low, out + 8, 8);
  return hash;
}

SecretKey random_key() {
  ensure_sodium();
  SecretKey key;
  randombytes_buf(key.data(), key.size());
  return key;
}

std::string random_hex(size_t bytes) {
  ensure_sodium();
  std::vector<unsigned char> raw(bytes);
  randombytes_buf(raw.data(), raw.size());
  std::string out(bytes * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), raw.data(), raw.size());
  out.resize(bytes * 2);
  return out;
}

}  // namespace enhanced_gptcache::base
