#include "simd/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simd/cpu.h"

namespace enhanced_gptcache::simd {
namespace {

using ::testing::HasSubstr;

#if defined(__x86_64__)
constexpr uint32_t kLeaf1 = (1U << 12) | (1U << 27);
constexpr uint32_t kLeaf7Ebx = (1U << 5) | (1U << 16) | (1U << 17) | (1U << 30) | (1U << 31);
constexpr uint32_t kVnni = 1U << 11;

TEST(Cpu, NothingCountsWithoutOperatingSystemSupport) {
  EXPECT_EQ(decode_features({kLeaf1, kLeaf7Ebx, kVnni, 0}), 0U);
  EXPECT_EQ(decode_features({kLeaf1, kLeaf7Ebx, kVnni, 0x3}), 0U);  // x87 and SSE only
}

TEST(Cpu, UpperRegistersUnlockAvx512) {
  EXPECT_EQ(decode_features({kLeaf1, kLeaf7Ebx, kVnni, 0x7}), kCpuFma | kCpuAvx2);
  EXPECT_EQ(decode_features({kLeaf1, kLeaf7Ebx, kVnni, 0xE7}),
            kAvx512VnniKernels.required_features | kCpuAvx2);
  EXPECT_EQ(decode_features({kLeaf1, kLeaf7Ebx, 0, 0xE7}) & kCpuAvx512vnni, 0U);
}

TEST(Cpu, AgreesWithTheCompilersDetection) {
  const uint32_t features = decode_features(read_cpuid());
  EXPECT_EQ((features & kCpuAvx2) != 0, __builtin_cpu_supports("avx2") != 0);
  EXPECT_EQ((features & kCpuFma) != 0, __builtin_cpu_supports("fma") != 0);
  EXPECT_EQ((features & kCpuAvx512vnni) != 0, __builtin_cpu_supports("avx512vnni") != 0);
}

TEST(Dispatch, AutoTakesTheBestThatRuns) {
  const uint32_t all = kAvx512VnniKernels.required_features | kCpuAvx2;
  EXPECT_STREQ((*select_kernels("auto", all))->name, "avx512vnni");
  EXPECT_STREQ((*select_kernels("auto", all & ~kCpuAvx512vnni))->name, "avx2");
  EXPECT_STREQ((*select_kernels("auto", 0))->name, "scalar");
}

TEST(Dispatch, ANamedTableIsUsedEvenWhenABetterOneRuns) {
  const uint32_t all = kAvx512VnniKernels.required_features | kCpuAvx2;
  EXPECT_STREQ((*select_kernels("avx2", all))->name, "avx2");
  EXPECT_STREQ((*select_kernels("scalar", all))->name, "scalar");
}

TEST(Dispatch, ErrorsNameWhatIsAvailable) {
  const auto lacking = select_kernels("avx512vnni", kCpuAvx2 | kCpuFma);
  ASSERT_FALSE(lacking.has_value());
  EXPECT_EQ(lacking.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(lacking.error().message, HasSubstr("available: auto, avx2, scalar"));
  const auto unknown = select_kernels("sse9");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message, HasSubstr("\"sse9\" does not exist; available: auto"));
  EXPECT_FALSE(select_kernels("").has_value());
}

#elif defined(__aarch64__)

TEST(Dispatch, DotProductsAreTakenWhereTheyAre) {
  EXPECT_STREQ((*select_kernels("auto", kCpuDotProduct))->name, "neon");
  EXPECT_STREQ((*select_kernels("auto", 0))->name, "scalar");
  EXPECT_STREQ((*select_kernels("scalar", kCpuDotProduct))->name, "scalar");
  const auto lacking = select_kernels("neon", 0);
  ASSERT_FALSE(lacking.has_value());
  EXPECT_THAT(lacking.error().message, HasSubstr("available: auto, scalar"));
}

#endif

TEST(Dispatch, NamesEndWithScalarAndStartWithTheBest) {
  const auto names = kernel_names();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "scalar");
  EXPECT_EQ(names.front(), best_kernels().name);
  for (const std::string& name : names) EXPECT_TRUE(select_kernels(name).has_value()) << name;
}

}  // namespace
}  // namespace enhanced_gptcache::simd
