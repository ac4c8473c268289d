#pragma once
// A table that keeps hashes of prompts instead of their texts: what is written loses question, canonical
// request, vectors and context, so that after a restart such an entry is found by the exact layer alone, by
// hash.

#include <functional>
#include <memory>

#include "store/entry_table.h"

namespace enhanced_gptcache::store {

/// The hash that stands for a canonical request; the same for the same text.
using HashPrompt = std::function<std::string(std::string_view canonical)>;
/// True when this stands for a canonical request already.
using IsHashed = std::function<bool(std::string_view canonical)>;

/// In front of `table`. Entries found with their texts are handed out as they are and counted in
/// LoadReport::to_reseal.
std::unique_ptr<EntryTable> with_hashed_prompts(std::unique_ptr<EntryTable> table, HashPrompt hash,
                                                IsHashed is_hashed);

}  // namespace enhanced_gptcache::store
