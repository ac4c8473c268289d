#pragma once
// Signatures under receipts (Ed25519, RFC 8032). The signing key is derived from the instance key, so it
// needs no file of its own and outlives restores; whoever has the public key can verify a receipt without us.

#include <string>
#include <string_view>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::vault {

struct Signature {
  std::string public_key;  ///< 64 hexadecimal digits
  std::string value;       ///< 128 hexadecimal digits
};
Signature sign_receipt(const base::SecretKey& instance_key, std::string_view text);
std::string receipt_public_key(const base::SecretKey& instance_key);
/// False: not signed by the owner of this key, or no signature at all.
bool verify_receipt(const Signature& signature, std::string_view text);

}  // namespace enhanced_gptcache::vault
