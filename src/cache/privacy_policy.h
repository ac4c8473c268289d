#pragma once
// What becomes of personal data in what is to be stored (Options::privacy): kept, kept without the question's
// text, or not kept at all. An answer is never altered: one with personal data in it is stored whole or not.

#include <optional>
#include <string>

#include "cache/keys.h"
#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cache {

/// Stands for the question in an entry that must not hold its text: such an entry is found by the exact layer
/// alone, by hash.
struct Redaction {
  std::string query;      ///< with "[email]" and the like in place of what was found
  std::string canonical;  ///< Keys::hashed_request
};

/// None: it may be stored as it is. kInvalidArgument: it must not be stored, with the kinds that were found.
Result<std::optional<Redaction>> apply_privacy(const PrivacyOptions& options, const StoreRequest& request,
                                               const Keys& keys);

}  // namespace enhanced_gptcache::cache
