#include "simd/dispatch.h"

#include <fmt/format.h>

#include "base/check.h"
#include "simd/cpu.h"

namespace enhanced_gptcache::simd {
namespace {

#if defined(__x86_64__)
constexpr const KernelTable* kCompiled[] = {&kAvx512VnniKernels, &kAvx2Kernels, &kScalarKernels};
#elif defined(__aarch64__)
constexpr const KernelTable* kCompiled[] = {&kNeonKernels, &kScalarKernels};
#else
constexpr const KernelTable* kCompiled[] = {&kScalarKernels};
#endif

bool runs_with(const KernelTable& table, uint32_t features) {
  return (table.required_features & features) == table.required_features;
}

uint32_t machine_features() {
  static const uint32_t features = processor_features();
  return features;
}

std::string available_names(uint32_t features) {
  std::string names = "auto";
  for (const KernelTable* table : compiled_kernels()) {
    if (runs_with(*table, features)) names += fmt::format(", {}", table->name);
  }
  return names;
}

}  // namespace

std::span<const KernelTable* const> compiled_kernels() { return kCompiled; }

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const KernelTable* table : compiled_kernels()) {
    if (runs_with(*table, machine_features())) names.emplace_back(table->name);
  }
  return names;
}

Result<const KernelTable*> select_kernels(std::string_view name, uint32_t features) {
  for (const KernelTable* table : compiled_kernels()) {
    const bool runs = runs_with(*table, features);
    if (name == "auto" && runs) return table;
    if (name != table->name) continue;
    if (runs) return table;
    return fail(ErrorCode::kUnsupported, fmt::format("kernel \"{}\" needs instructions this processor lacks; "
                                                     "available: {}",
                                                     name, available_names(features)));
  }
  return fail(ErrorCode::kUnsupported,
              fmt::format("kernel \"{}\" does not exist; available: {}", name, available_names(features)));
}

Result<const KernelTable*> select_kernels(std::string_view name) {
  return select_kernels(name, machine_features());
}

const KernelTable& best_kernels() {
  static const KernelTable* const table = [] {
    auto best = select_kernels("auto");
    EGPTC_CHECK(best.has_value());  // the scalar table needs no features
    return *best;
  }();
  return *table;
}

}  // namespace enhanced_gptcache::simd
