#pragma once
// Copies of the running server's entries that `backup` takes into its archive: folders below
// <storage.path>/checkpoints, made while serving (hard links, no bytes are copied), gone after use.

#include <string>

#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::app {

/// Thread rule: one call at a time.
class Checkpoints {
 public:
  /// `cache` outlives it. Removes what an earlier process left.
  Checkpoints(EnhancedCache& cache, std::string storage_path);

  /// JSON: {"name", "path"}. kOverloaded: too many are there; kUnsupported: storage.enabled is false.
  Result<std::string> make();
  /// JSON: {"copies": [{"name", "path", "made_ms"}], "copies_max", "age_max_seconds"}.
  std::string list() const;
  /// kNotFound: no such checkpoint.
  Result<void> drop(const std::string& name);

 private:
  void drop_old();

  EnhancedCache& cache_;
  const std::string folder_;
};

}  // namespace enhanced_gptcache::app
