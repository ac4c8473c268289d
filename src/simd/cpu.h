#pragma once
// Which instruction sets this processor and operating system offer. The decoding is apart from the
// CPUID instruction, so that tests can show it any machine.

#include <cstdint>

namespace enhanced_gptcache::simd {

/// The registers that matter of CPUID leaves 1 and 7 (sub-leaf 0), and XCR0. Source of the bit
/// positions: Intel Software Developer's Manual, volume 2A (CPUID) and volume 1, chapter 13 (XCR0).
struct CpuidState {
  uint32_t leaf1_ecx = 0;
  uint32_t leaf7_ebx = 0;
  uint32_t leaf7_ecx = 0;
  uint64_t xcr0 = 0;  ///< 0 when the operating system does not use XSAVE
};

/// All zero on processors without CPUID.
CpuidState read_cpuid();

/// CpuFeature bits. A feature counts only when the operating system saves its registers too.
uint32_t decode_features(const CpuidState& state);

/// CpuFeature bits of this machine: decode_features(read_cpuid()), or what Linux says of an ARM processor.
uint32_t processor_features();

}  // namespace enhanced_gptcache::simd
