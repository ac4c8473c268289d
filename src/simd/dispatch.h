#pragma once
// Chooses the kernel table once, when a component starts. Tables are listed best first.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "simd/kernel_table.h"

namespace enhanced_gptcache::simd {

/// Every table compiled into this build, best first; "scalar" is always the last.
std::span<const KernelTable* const> compiled_kernels();

/// Names of the tables this machine can run, best first.
std::vector<std::string> kernel_names();

/// The table of that name, or the best one for "auto". kUnsupported: the name is unknown or this
/// machine lacks its instructions; the message lists what is available. The table lives for ever.
Result<const KernelTable*> select_kernels(std::string_view name);

/// The same for a processor with these CpuFeature bits.
Result<const KernelTable*> select_kernels(std::string_view name, uint32_t features);

/// select_kernels("auto"), detected once. For parts without a setting of their own (vector search).
const KernelTable& best_kernels();

}  // namespace enhanced_gptcache::simd
