#pragma once
// May an entry that was learned without a conversation answer a question inside one? Only when the question
// makes sense alone, and nothing said before would change its answer.

#include <string_view>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cache {

/// False when in doubt. A question in form, with two content words at least, no word that points back
/// ("it", "that one", "there", "next"), no opening that continues ("and", "what about"), nothing of the
/// caller's own ("my"), and no definite noun that only a conversation defines ("the bug", but "the capital
/// of Peru" is fine). By English word lists.
bool is_self_contained(std::string_view query);

/// True when every user turn is a plain question about the world: a statement ("I am allergic to wheat") or
/// an instruction ("from now on answer in French") may change every later answer. False for tool turns.
bool is_plain_conversation(const std::vector<Turn>& context);

}  // namespace enhanced_gptcache::cache
