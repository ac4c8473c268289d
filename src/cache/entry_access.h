#pragma once
// Whose an entry is, for callers that name one by its id.

#include <string_view>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cache {

/// Who names an entry. Both empty: the tenant itself, to whom all of its entries belong.
struct EntryCaller {
  std::string_view user;       ///< Prompt::user of what it asks
  std::string_view principal;  ///< the credential it comes with
};

/// May this caller of the entry's own tenant see, judge and remove it? What is scoped to a user (it spoke of
/// its asker, or partition.user_scope) is that user's; a credential that names no user besides itself is an
/// application and also has what was stored with it. Any thread.
bool is_within_reach(const Entry& entry, const EntryCaller& caller);

}  // namespace enhanced_gptcache::cache
