#pragma once
// Bodies of /cache/erase and /cache/export, and the signed receipt of an erasure. Pure functions: no I/O, any
// thread.

#include <optional>
#include <string>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "native/body.h"
#include "native/native_api.h"

namespace enhanced_gptcache::native {

struct SubjectCall {
  std::string subject;
  std::optional<std::string> name_space;
  size_t limit = 100;  ///< of an export
  std::string cursor;  ///< of an export
};
/// Errors are left in `body`: call body.finish() next.
SubjectCall read_erase(Body& body, const Caller& caller);
SubjectCall read_export(Body& body, const Caller& caller, const NativeOptions& options);

/// {"receipt": {...}, "public_key", "signature"}: what was erased, counts and times, signed with Ed25519 over
/// the canonical JSON of "receipt".
std::string receipt_json(const SubjectCall& call, const std::string& tenant, const ErasedSubject& erased,
                         const EncryptionStats& encryption, const base::SecretKey& instance_key);
/// The verified "receipt" as JSON text. kInvalidArgument: no receipt; kCorrupt: not signed by the owner of
/// `public_key` (empty: of the key it names itself).
Result<std::string> check_receipt(std::string_view text, std::string_view public_key);

}  // namespace enhanced_gptcache::native
