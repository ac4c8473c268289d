#pragma once
// Sealed bytes: which key, a nonce, ciphertext and tag (docs/formats.md). The place they belong to is
// authenticated with them, so that bytes moved to another place do not open there.

#include <optional>
#include <string>
#include <string_view>

#include "vault/cipher.h"
#include "vault/key_ring.h"

namespace enhanced_gptcache::vault {

enum class KeyKind : uint8_t { kMaster = 1, kSubject = 2 };

inline constexpr size_t kSealedHeadBytes = 48;
inline constexpr size_t kSealedExtraBytes = kSealedHeadBytes + kTagBytes;

/// What the head of sealed bytes says; nothing of it is to be believed before they are opened.
struct SealedHead {
  KeyKind kind = KeyKind::kMaster;
  KeyId key;
};

/// True for everything that begins as sealed bytes do, damaged or not.
bool looks_sealed(std::string_view bytes);
/// None: too short, another version, or an unknown kind.
std::optional<SealedHead> read_head(std::string_view sealed);

std::string seal_bytes(const SealedHead& head, const Cipher& cipher, std::string_view place,
                       std::string_view plain);
/// `sealed` has a head. False: changed, cut, of another place. `out` has room for
/// sealed.size() - kSealedExtraBytes bytes.
bool open_bytes(std::string_view sealed, const Cipher& cipher, std::string_view place, char* out);

/// Sixteen bytes, most significant first, as keys are everywhere on disk.
std::string hash_bytes(const base::Hash128& hash);
/// Requires 16 bytes.
base::Hash128 hash_from(std::string_view bytes);

}  // namespace enhanced_gptcache::vault
