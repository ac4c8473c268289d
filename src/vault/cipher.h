#pragma once
// Authenticated encryption with one key: XAES-256-GCM (C2SP, xaes-256-gcm v1), which is AES-256-GCM of
// OpenSSL under a key derived from 12 bytes of a 24-byte nonce. With so long a nonce random ones never meet,
// however many entries one key seals; plain AES-256-GCM allows 2^32 (NIST SP 800-38D, 8.3).

#include <array>
#include <string_view>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::vault {

inline constexpr size_t kNonceBytes = 24;
inline constexpr size_t kTagBytes = 16;
using Nonce = std::array<unsigned char, kNonceBytes>;

/// Thread rule: immutable; any thread. Wipes its key when it goes.
class Cipher {
 public:
  explicit Cipher(const base::SecretKey& key);
  ~Cipher();
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;

  /// Writes plain.size() + kTagBytes bytes to `out`. `context` is authenticated, not written.
  void seal(const Nonce& nonce, std::string_view context, std::string_view plain, char* out) const;
  /// Writes sealed.size() - kTagBytes bytes to `out`. False: changed, cut, another key or another context;
  /// what is in `out` then must not be used.
  bool open(const Nonce& nonce, std::string_view context, std::string_view sealed, char* out) const;

 private:
  base::SecretKey derive(const Nonce& nonce) const;

  base::SecretKey key_;
  std::array<unsigned char, 16> subkey_{};  ///< K1 of CMAC (NIST SP 800-38B)
};

/// From the operating system's generator.
Nonce random_nonce();

}  // namespace enhanced_gptcache::vault
