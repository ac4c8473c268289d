#include "vault/cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <climits>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace enhanced_gptcache::vault {
namespace {

constexpr size_t kBlockBytes = 16;
constexpr size_t kGcmNonceBytes = 12;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

/// Asking OpenSSL for an algorithm by name costs more than using it; these live as long as the process.
const EVP_CIPHER* block_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr);
  return cipher;
}
const EVP_CIPHER* gcm_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

EVP_CIPHER_CTX* context_of_thread() {
  thread_local const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  EVP_CIPHER_CTX_reset(context.get());
  return context.get();
}

void encrypt_blocks(const base::SecretKey& key, const unsigned char* in, size_t bytes, unsigned char* out) {
  EVP_CIPHER_CTX* const context = context_of_thread();
  int written = 0;
  EGPTC_CHECK(EVP_EncryptInit_ex2(context, block_cipher(), key.data(), nullptr, nullptr) == 1);
  EVP_CIPHER_CTX_set_padding(context, 0);
  EGPTC_CHECK(EVP_EncryptUpdate(context, out, &written, in, static_cast<int>(bytes)) == 1);
}

const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

/// OpenSSL counts in int. No entry is so large; cutting here must still not cut silently.
int size_of(std::string_view text) {
  EGPTC_CHECK(text.size() <= INT_MAX);
  return static_cast<int>(text.size());
}

}  // namespace

Cipher::Cipher(const base::SecretKey& key) : key_(key) {
  // K1 is AES(0) doubled in GF(2^128).
  const std::array<unsigned char, kBlockBytes> zero{};
  std::array<unsigned char, kBlockBytes> block{};
  encrypt_blocks(key_, zero.data(), zero.size(), block.data());
  unsigned carry = 0;
  for (size_t i = kBlockBytes; i-- > 0;) {
    subkey_[i] = static_cast<unsigned char>((block[i] << 1U) | carry);
    carry = block[i] >> 7U;
  }
  if (carry != 0) subkey_[kBlockBytes - 1] ^= 0x87U;
}

Cipher::~Cipher() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(subkey_.data(), subkey_.size());
}

base::SecretKey Cipher::derive(const Nonce& nonce) const {
  std::array<unsigned char, 2 * kBlockBytes> blocks{};
  for (size_t i = 0; i < 2; ++i) {
    unsigned char* const block = blocks.data() + i * kBlockBytes;
    block[1] = static_cast<unsigned char>(i + 1);
    block[2] = 'X';
    std::memcpy(block + 4, nonce.data(), kGcmNonceBytes);
    for (size_t j = 0; j < kBlockBytes; ++j) block[j] ^= subkey_[j];
  }
  base::SecretKey derived;
  encrypt_blocks(key_, blocks.data(), blocks.size(), derived.data());
  return derived;
}

void Cipher::seal(const Nonce& nonce, std::string_view context, std::string_view plain, char* out) const {
  base::SecretKey key = derive(nonce);
  EVP_CIPHER_CTX* const gcm = context_of_thread();
  auto* const to = reinterpret_cast<unsigned char*>(out);
  int written = 0;
  bool done = EVP_EncryptInit_ex2(gcm, gcm_cipher(), key.data(), nonce.data() + kGcmNonceBytes, nullptr) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  done = done && EVP_EncryptUpdate(gcm, nullptr, &written, bytes_at(context), size_of(context)) == 1;
  if (!plain.empty())
    done = done && EVP_EncryptUpdate(gcm, to, &written, bytes_at(plain), size_of(plain)) == 1;
  done = done && EVP_EncryptFinal_ex(gcm, to + plain.size(), &written) == 1;
  done = done && EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_GET_TAG, kTagBytes, to + plain.size()) == 1;
  EGPTC_CHECK(done);
}

bool Cipher::open(const Nonce& nonce, std::string_view context, std::string_view sealed, char* out) const {
  if (sealed.size() < kTagBytes) return false;
  base::SecretKey key = derive(nonce);
  EVP_CIPHER_CTX* const gcm = context_of_thread();
  const std::string_view hidden = sealed.substr(0, sealed.size() - kTagBytes);
  auto* const to = reinterpret_cast<unsigned char*>(out);
  std::array<unsigned char, kTagBytes> tag{};
  std::memcpy(tag.data(), sealed.data() + hidden.size(), kTagBytes);
  int written = 0;
  bool done = EVP_DecryptInit_ex2(gcm, gcm_cipher(), key.data(), nonce.data() + kGcmNonceBytes, nullptr) == 1;
  OPENSSL_cleanse(key.data(), key.size());
  done = done && EVP_DecryptUpdate(gcm, nullptr, &written, bytes_at(context), size_of(context)) == 1;
  if (!hidden.empty())
    done = done && EVP_DecryptUpdate(gcm, to, &written, bytes_at(hidden), size_of(hidden)) == 1;
  done = done && EVP_CIPHER_CTX_ctrl(gcm, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1;
  unsigned char none[kBlockBytes];
  return done && EVP_DecryptFinal_ex(gcm, none, &written) == 1;
}

Nonce random_nonce() {
  Nonce nonce;
  EGPTC_CHECK(RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) == 1);
  return nonce;
}

}  // namespace enhanced_gptcache::vault
