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
// loop is the multiply-adds and nothing else. 64 of them an instruction.
__attribute__((target("avx512f,avx512vnni,avx512bw"))) double vnni_gmacs() {
  constexpr int64_t kRounds = 20'000'000;
  __m512i a0 = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
  __m512i a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0, a9 = a0;
  const auto start = Clock::now();
  for (int64_t i = 0; i < kRounds; ++i) {
    a0 = _mm512_dpbusd_epi32(a0, b, b);
    a1 = _mm512_dpbusd_epi32(a1, b, b);
    a2 = _mm512_dpbusd_epi32(a2, b, b);
    a3 = _mm512_dpbusd_epi32(a3, b, b);
    a4 = _mm512_dpbusd_epi32(a4, b, b);
    a5 = _mm512_dpbusd_epi32(a5, b, b);
    a6 = _mm512_dpbusd_epi32(a6, b, b);
    a7 = _mm512_dpbusd_epi32(a7, b, b);
    a8 = _mm512_dpbusd_epi32(a8, b, b);
    a9 = _mm512_dpbusd_epi32(a9, b, b);
    asm volatile("" : "+v"(b));  // the operand might have changed: nothing is hoisted
  }
  const double seconds = seconds_since(start);
  const __m512i sum =
      _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(a0, a1), _mm512_add_epi32(a2, a3)),
                       _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(a4, a5), _mm512_add_epi32(a6, a7)),
                                        _mm512_add_epi32(a8, a9)));
  alignas(64) int lanes[16];
  _mm512_store_si512(lanes, sum);
  volatile int keep = lanes[0];
  (void)keep;
  return static_cast<double>(kRounds) * 10 * 64 / seconds / 1e9;
}

// maddubs, madd, add: what AVX2 needs for the same, 32 multiply-adds in three instructions.
__attribute__((target("avx2"))) double avx2_gmacs() {
  constexpr int64_t kRounds = 20'000'000;
  __m256i b = _mm256_set1_epi8(2);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i a0 = b, a1 = b, a2 = b, a3 = b, a4 = b, a5 = b;
  const auto start = Clock::now();
  for (int64_t i = 0; i < kRounds; ++i) {
    a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));  // each product is made anew
    a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));
    a2 = _mm256_add_epi32(a2, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));
    a3 = _mm256_add_epi32(a3, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));
    a4 = _mm256_add_epi32(a4, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));
    a5 = _mm256_add_epi32(a5, _mm256_madd_epi16(_mm256_maddubs_epi16(b, b), ones));
    asm volatile("" : "+x"(b));
  }
  const double seconds = seconds_since(start);
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_add_epi32(a0, a1), _mm256_add_epi32(a2, a3)),
                                       _mm256_add_epi32(a4, a5));
  volatile int keep = _mm256_extract_epi32(sum, 0);
  (void)keep;
  return static_cast<double>(kRounds) * 6 * 32 / seconds / 1e9;
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
