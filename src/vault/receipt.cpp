#include "vault/receipt.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/hmac.h"

namespace enhanced_gptcache::vault {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
constexpr size_t kPublicBytes = 32;
constexpr size_t kSignatureBytes = 64;

Key private_key(const base::SecretKey& instance_key) {
  const base::HmacSha256 hmac({reinterpret_cast<const char*>(instance_key.data()), instance_key.size()});
  base::Sha256 seed = hmac.compute("egptc receipt signing key v1");
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()), &EVP_PKEY_free);
  OPENSSL_cleanse(seed.data(), seed.size());
  EGPTC_CHECK(key != nullptr);
  return key;
}

std::string to_hex(const unsigned char* bytes, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

/// Empty: not `size` bytes of hexadecimal digits.
std::vector<unsigned char> from_hex(std::string_view text, size_t size) {
  if (text.size() != 2 * size || text.find_first_not_of("0123456789abcdef") != text.npos) return {};
  std::vector<unsigned char> bytes(size);
  for (size_t i = 0; i < size; ++i)
    std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, bytes[i], 16);
  return bytes;
}

std::string public_hex(EVP_PKEY* key) {
  std::array<unsigned char, kPublicBytes> bytes{};
  size_t size = bytes.size();
  EGPTC_CHECK(EVP_PKEY_get_raw_public_key(key, bytes.data(), &size) == 1 && size == bytes.size());
  return to_hex(bytes.data(), size);
}

const unsigned char* bytes_at(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Signature sign_receipt(const base::SecretKey& instance_key, std::string_view text) {
  const Key key = private_key(instance_key);
  const Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::array<unsigned char, kSignatureBytes> bytes{};
  size_t size = bytes.size();
  EGPTC_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  EGPTC_CHECK(EVP_DigestSign(context.get(), bytes.data(), &size, bytes_at(text), text.size()) == 1);
  return {public_hex(key.get()), to_hex(bytes.data(), size)};
}

std::string receipt_public_key(const base::SecretKey& instance_key) {
  return public_hex(private_key(instance_key).get());
}

bool verify_receipt(const Signature& signature, std::string_view text) {
  const auto point = from_hex(signature.public_key, kPublicBytes);
  const auto value = from_hex(signature.value, kSignatureBytes);
  if (point.empty() || value.empty()) return false;
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, point.data(), point.size()),
                &EVP_PKEY_free);
  if (key == nullptr) return false;
  const Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), value.data(), value.size(), bytes_at(text), text.size()) == 1;
}

}  // namespace enhanced_gptcache::vault
