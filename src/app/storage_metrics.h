#pragma once
// The metrics of the mirror on disk: storage_*.

#include "enhanced_gptcache/enhanced_cache.h"
#include "metrics/registry.h"

namespace enhanced_gptcache::app {

/// Asks `cache` at every scrape; it outlives the registry's use.
void watch_storage(metrics::Registry& registry, const EnhancedCache& cache);

}  // namespace enhanced_gptcache::app
