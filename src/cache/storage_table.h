#pragma once
// The table of Options::storage.path.

#include <memory>

#include "enhanced_gptcache/options.h"
#include "store/entry_table.h"

namespace enhanced_gptcache::cache {

/// As store::open_rocks_table; `options` passed check_options and names a path.
Result<std::unique_ptr<store::EntryTable>> open_table(const Options& options);

}  // namespace enhanced_gptcache::cache
