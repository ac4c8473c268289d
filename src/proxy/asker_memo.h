#pragma once
// Remembers of which requests it is known whether they speak of their asker, so that an exact hit for a named
// user need not read its messages again to learn whether the question is its own.

#include <optional>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::proxy {

/// What remember() was told of a prompt with this canonical request, in which the caller names `query` (or
/// nothing). Thread rule: any; each thread has a memo of its own, of the last 2,048 requests or so, by a hash
/// with a key of this process (SipHash, 128 bits), so that nobody can make two requests meet.
std::optional<bool> remembered_personal(const Prompt& prompt, std::string_view query);
void remember_personal(const Prompt& prompt, std::string_view query, bool is_personal);

}  // namespace enhanced_gptcache::proxy
