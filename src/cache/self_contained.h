#pragma once
// Does a question make sense without the conversation before it? Only then may an entry that was
// learned without a conversation answer it inside one.

#include <string_view>

namespace enhanced_gptcache::cache {

/// False when in doubt: a word that points back ("it", "that one", "there", "again"), an opening
/// that continues ("and", "what about"), or fewer than two content words. By English word lists.
bool is_self_contained(std::string_view query);

}  // namespace enhanced_gptcache::cache
