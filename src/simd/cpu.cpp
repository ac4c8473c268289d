#include "simd/cpu.h"

#include "simd/kernel_table.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace enhanced_gptcache::simd {
namespace {

constexpr uint32_t bit(unsigned position) { return 1U << position; }

constexpr uint32_t kLeaf1Fma = bit(12), kLeaf1Osxsave = bit(27);
constexpr uint32_t kLeaf7Avx2 = bit(5), kLeaf7Avx512f = bit(16), kLeaf7Avx512dq = bit(17);
constexpr uint32_t kLeaf7Avx512bw = bit(30), kLeaf7Avx512vl = bit(31), kLeaf7EcxVnni = bit(11);
// XCR0: SSE and AVX registers; in addition opmask and both halves of the upper zmm registers.
constexpr uint64_t kXcr0Ymm = 0x6, kXcr0Zmm = 0xE6;

}  // namespace

CpuidState read_cpuid() {
  CpuidState state;
#if defined(__x86_64__)
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return state;
  state.leaf1_ecx = ecx;
  if ((ecx & kLeaf1Osxsave) != 0) {
    // xgetbv by its mnemonic: the intrinsic would need a machine flag on this file.
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    state.xcr0 = (static_cast<uint64_t>(high) << 32) | low;
  }
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    state.leaf7_ebx = ebx;
    state.leaf7_ecx = ecx;
  }
#endif
  return state;
}

uint32_t decode_features(const CpuidState& state) {
  uint32_t features = 0;
  if ((state.xcr0 & kXcr0Ymm) != kXcr0Ymm) return features;
  if ((state.leaf1_ecx & kLeaf1Fma) != 0) features |= kCpuFma;
  if ((state.leaf7_ebx & kLeaf7Avx2) != 0) features |= kCpuAvx2;
  if ((state.xcr0 & kXcr0Zmm) != kXcr0Zmm) return features;
  if ((state.leaf7_ebx & kLeaf7Avx512f) != 0) features |= kCpuAvx512f;
  if ((state.leaf7_ebx & kLeaf7Avx512bw) != 0) features |= kCpuAvx512bw;
  if ((state.leaf7_ebx & kLeaf7Avx512dq) != 0) features |= kCpuAvx512dq;
  if ((state.leaf7_ebx & kLeaf7Avx512vl) != 0) features |= kCpuAvx512vl;
  if ((state.leaf7_ecx & kLeaf7EcxVnni) != 0) features |= kCpuAvx512vnni;
  return features;
}

uint32_t processor_features() {
#if defined(__aarch64__)
  constexpr uint64_t kAsimdDotProduct = uint64_t{1} << 20;  // HWCAP_ASIMDDP of Linux
  return (getauxval(AT_HWCAP) & kAsimdDotProduct) != 0 ? uint32_t{kCpuDotProduct} : 0;
#else
  return decode_features(read_cpuid());
#endif
}

}  // namespace enhanced_gptcache::simd
