#pragma once
// Are these options something a cache can work with?

#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::cache {

/// kInvalidArgument naming field, value and range of the first that is not.
Result<void> check_options(const Options& options);

}  // namespace enhanced_gptcache::cache
