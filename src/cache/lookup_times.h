#pragma once
// Where the time of a look-up went, for traces. Not a part of Lookup, because no caller of the library needs
// it.

#include <cstdint>

namespace enhanced_gptcache::cache {

struct LookupTimes {
  int64_t embed_us = 0;   ///< until the embedding was there, waiting included; 0: none was needed
  int64_t search_us = 0;  ///< in the index
};

/// Of the look-up whose callback runs now, on this thread. Thread rule: inside a LookupCallback only.
LookupTimes times_of_lookup();

}  // namespace enhanced_gptcache::cache
