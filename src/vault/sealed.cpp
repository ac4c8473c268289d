#include "vault/sealed.h"

#include <cstring>

#include "base/check.h"

namespace enhanced_gptcache::vault {
namespace {

constexpr std::string_view kMagic = "EGPS";
constexpr char kVersion = 1;
constexpr size_t kVersionAt = 4;
constexpr size_t kKindAt = 5;
constexpr size_t kKeyAt = 8;
constexpr size_t kNonceAt = 24;

/// Authenticated: the head without the nonce, which the cipher takes by itself, then the place.
std::string context_of(std::string_view sealed, std::string_view place) {
  std::string context(sealed.substr(0, kNonceAt));
  context += place;
  return context;
}

}  // namespace

std::string hash_bytes(const base::Hash128& hash) {
  const uint64_t words[2] = {__builtin_bswap64(hash.high), __builtin_bswap64(hash.low)};
  return {reinterpret_cast<const char*>(words), sizeof words};
}

base::Hash128 hash_from(std::string_view bytes) {
  uint64_t words[2];
  EGPTC_CHECK(bytes.size() >= sizeof words);
  std::memcpy(words, bytes.data(), sizeof words);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

bool looks_sealed(std::string_view bytes) { return bytes.substr(0, kMagic.size()) == kMagic; }

std::optional<SealedHead> read_head(std::string_view sealed) {
  if (!looks_sealed(sealed) || sealed.size() < kSealedExtraBytes || sealed[kVersionAt] != kVersion)
    return std::nullopt;
  const char kind = sealed[kKindAt];
  if (kind != static_cast<char>(KeyKind::kMaster) && kind != static_cast<char>(KeyKind::kSubject))
    return std::nullopt;
  return SealedHead{static_cast<KeyKind>(kind), hash_from(sealed.substr(kKeyAt, 16))};
}

std::string seal_bytes(const SealedHead& head, const Cipher& cipher, std::string_view place,
                       std::string_view plain) {
  std::string out(plain.size() + kSealedExtraBytes, '\0');
  const Nonce nonce = random_nonce();
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  out[kVersionAt] = kVersion;
  out[kKindAt] = static_cast<char>(head.kind);
  std::memcpy(out.data() + kKeyAt, hash_bytes(head.key).data(), sizeof(KeyId));
  std::memcpy(out.data() + kNonceAt, nonce.data(), nonce.size());
  cipher.seal(nonce, context_of(out, place), plain, out.data() + kSealedHeadBytes);
  return out;
}

bool open_bytes(std::string_view sealed, const Cipher& cipher, std::string_view place, char* out) {
  Nonce nonce;
  std::memcpy(nonce.data(), sealed.data() + kNonceAt, nonce.size());
  return cipher.open(nonce, context_of(sealed, place), sealed.substr(kSealedHeadBytes), out);
}

}  // namespace enhanced_gptcache::vault
