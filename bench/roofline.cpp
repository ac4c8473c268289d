// What this core could do at most, for embed_turn to be held against: int8 multiply-adds of a loop that
// stays in registers, and bytes read from a buffer as large as the model's int8 weights. One JSON line.
// Pin it: `taskset -c 1 roofline_bench`.
//
// usage: roofline_bench [BUFFER_MB]   (10.6, the int8 weights of all-MiniLM-L6-v2)

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTurns = 7;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ten independent accumulators hide the latency of the instruction; one register operand each, so that the
// loop is the multiply-adds and nothing else. 64 of them an instruction. In assembly, because the compiler
// sees that all accumulators hold the same and keeps one of them.
__attribute__((target("avx512f,avx512vnni,avx512bw"))) double vnni_gmacs() {
  constexpr int64_t kRounds = 20'000'000;
  const auto start = Clock::now();
  asm volatile(
      "mov %0, %%rcx\n"
      "1:\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm0\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm1\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm2\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm3\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm4\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm5\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm6\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm7\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm8\n"
      "vpdpbusd %%zmm31, %%zmm30, %%zmm9\n"
      "dec %%rcx\n"
      "jnz 1b\n"
      :
      : "r"(kRounds)
      : "rcx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm30",
        "xmm31");
  return static_cast<double>(kRounds) * 10 * 64 / seconds_since(start) / 1e9;
}

// maddubs, madd, add: what AVX2 needs for the same, 32 multiply-adds in three instructions.
__attribute__((target("avx2"))) double avx2_gmacs() {
  constexpr int64_t kRounds = 20'000'000;
  const auto start = Clock::now();
  asm volatile(
      "mov %0, %%rcx\n"
      "1:\n"
      ".macro EGPTC_STEP scratch, sum\n"
      "vpmaddubsw %%ymm14, %%ymm15, \\scratch\n"
      "vpmaddwd %%ymm13, \\scratch, \\scratch\n"
      "vpaddd \\scratch, \\sum, \\sum\n"
      ".endm\n"
      "EGPTC_STEP %%ymm0, %%ymm6\n"
      "EGPTC_STEP %%ymm1, %%ymm7\n"
      "EGPTC_STEP %%ymm2, %%ymm8\n"
      "EGPTC_STEP %%ymm3, %%ymm9\n"
      "EGPTC_STEP %%ymm4, %%ymm10\n"
      "EGPTC_STEP %%ymm5, %%ymm11\n"
      ".purgem EGPTC_STEP\n"
      "dec %%rcx\n"
      "jnz 1b\n"
      :
      : "r"(kRounds)
      : "rcx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11");
  return static_cast<double>(kRounds) * 6 * 32 / seconds_since(start) / 1e9;
}

// Sum of all words with eight loads under way.
__attribute__((target("avx2"))) double read_gbps(const std::vector<uint8_t>& buffer) {
  constexpr int kPasses = 100;
  const auto start = Clock::now();
  __m256i sums[8] = {};
  for (int pass = 0; pass < kPasses; ++pass) {
    for (size_t at = 0; at + 256 <= buffer.size(); at += 256) {
      for (size_t lane = 0; lane < 8; ++lane) {
        const auto* from = reinterpret_cast<const __m256i*>(buffer.data() + at + lane * 32);
        sums[lane] = _mm256_add_epi64(sums[lane], _mm256_loadu_si256(from));
      }
    }
  }
  const double seconds = seconds_since(start);
  volatile int64_t keep = 0;
  for (const __m256i& sum : sums) keep = keep + _mm256_extract_epi64(sum, 0);
  return static_cast<double>(buffer.size()) * kPasses / seconds / 1e9;
}

template <typename Measure>
double best(const Measure& measure) {
  double most = 0;
  for (int turn = 0; turn < kTurns; ++turn) most = std::max(most, measure());
  return most;
}

}  // namespace

int main(int argc, char** argv) {
  const double megabytes = argc > 1 ? std::strtod(argv[1], nullptr) : 10.6;
  if (!(megabytes > 0.1 && megabytes < 4096)) {
    std::fputs("usage: roofline_bench [BUFFER_MB between 0.1 and 4096]\n", stderr);
    return 2;
  }
  const std::vector<uint8_t> buffer(static_cast<size_t>(megabytes * 1e6), 1);
  std::printf("{\"buffer_mb\": %.1f, \"read_gb_s\": %.1f", megabytes,
              best([&] { return read_gbps(buffer); }));
  if (__builtin_cpu_supports("avx2")) std::printf(", \"avx2_gmac_s\": %.0f", best(avx2_gmacs));
  if (__builtin_cpu_supports("avx512vnni")) std::printf(", \"avx512vnni_gmac_s\": %.0f", best(vnni_gmacs));
  std::printf("}\n");
  return 0;
}
