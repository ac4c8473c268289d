#pragma once
// What the proxy and the native API ask about a caller while they use the cache for it. They know this
// interface only; the limits behind it are security/limiter.h.

#include <cstddef>

#include "security/identity.h"

namespace enhanced_gptcache::security {

/// Thread rule: any thread; must not block.
class CacheWatch {
 public:
  virtual ~CacheWatch() = default;
  /// May this caller store so many entries now? They count as stored.
  virtual bool may_insert(const Identity& who, size_t entries) = 0;
  /// A semantic look-up came to an end. `nearest_similarity` is 0 when there was no candidate.
  virtual void saw_lookup(const Identity& who, bool hit, double nearest_similarity) = 0;
  /// May this caller get semantic answers now? False for those who look like probers.
  virtual bool may_match(const Identity& who) = 0;
};

}  // namespace enhanced_gptcache::security
