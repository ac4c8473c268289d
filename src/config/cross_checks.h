#pragma once
// What single rows cannot see: keys kept in files, and settings that contradict each other.

#include <vector>

#include "config/loader.h"

namespace enhanced_gptcache::config {

/// Reads every *_file secret into its key. The source of higher precedence wins; both from the same
/// origin are a problem.
void read_secret_files(Loaded& loaded, std::vector<Problem>& errors);
void check_together(const Loaded& loaded, std::vector<Problem>& errors, std::vector<Problem>& warnings);

}  // namespace enhanced_gptcache::config
