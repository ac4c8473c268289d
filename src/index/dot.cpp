// Features are enabled function by function (target attributes), so no other code of this file can
// use instructions that the processor may lack.

#include "index/dot.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
// gcc 12 takes its own "undefined" start values in these intrinsics for a mistake (gcc bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace enhanced_gptcache::index {
namespace {

void scan_scalar(const int16_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out) {
  for (size_t r = 0; r < count; ++r) {
    const int8_t* row = rows + r * length;
    int32_t sum = 0;
    for (size_t i = 0; i < length; ++i) sum += static_cast<int32_t>(query[i]) * row[i];
    out[r] = sum;
  }
}

void sweep_scalar(const int8_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out) {
  for (size_t r = 0; r < count; ++r) {
    const int8_t* row = rows + r * length;
    int32_t sum = 0;
    for (size_t i = 0; i < length; ++i) sum += static_cast<int32_t>(query[i]) * row[i];
    out[r] = sum;
  }
}

float rescore_scalar(const float* query, const int8_t* high, const int8_t* low, size_t length) {
  // Four sums: the same rounding error growth as a vector register, and no single long chain.
  std::array<float, 4> sums{};
  for (size_t i = 0; i < length; ++i)
    sums[i % 4] += query[i] * static_cast<float>(256 * static_cast<int>(high[i]) + low[i]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

int32_t pair_scalar(const int8_t* a, const int8_t* b, size_t length) {
  int32_t sum = 0;
  for (size_t i = 0; i < length; ++i) sum += static_cast<int32_t>(a[i]) * b[i];
  return sum;
}

int32_t signs_scalar(const int8_t* query, const uint8_t* signs, size_t length) {
  int32_t sum = 0;
  for (size_t i = 0; i < length; i += 8) {
    const unsigned byte = signs[i / 8];
    for (unsigned bit = 0; bit < 8; ++bit)
      sum += static_cast<int32_t>(byte >> bit & 1U) * static_cast<int32_t>(query[i + bit]);
  }
  return sum;
}

template <int32_t (*kSigns)(const int8_t*, const uint8_t*, size_t)>
void sweep_signs_one_by_one(const int8_t* query, const uint8_t* signs, size_t length, size_t count,
                            int32_t* out) {
  for (size_t r = 0; r < count; ++r) out[r] = kSigns(query, signs + r * (length / 8), length);
}

constexpr DotKernels kScalar{scan_scalar, sweep_scalar, rescore_scalar,
                             pair_scalar, signs_scalar, sweep_signs_one_by_one<signs_scalar>,
                             "scalar"};

#if defined(__x86_64__)

__attribute__((target("avx2"))) int32_t sum_of(__m256i sums) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  return _mm_cvtsi128_si32(half);
}

__attribute__((target("avx2,fma"))) void scan_avx2(const int16_t* query, const int8_t* rows, size_t length,
                                                   size_t count, int32_t* out) {
  for (size_t r = 0; r < count; ++r) {
    const int8_t* row = rows + r * length;
    __m256i even = _mm256_setzero_si256();
    __m256i odd = _mm256_setzero_si256();
    for (size_t i = 0; i < length; i += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i));
      const __m256i a = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes));
      const __m256i b = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1));
      const __m256i qa = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + i));
      const __m256i qb = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + i + 16));
      even = _mm256_add_epi32(even, _mm256_madd_epi16(a, qa));
      odd = _mm256_add_epi32(odd, _mm256_madd_epi16(b, qb));
    }
    out[r] = sum_of(_mm256_add_epi32(even, odd));
  }
}

__attribute__((target("avx2"))) void sweep_avx2(const int8_t* query, const int8_t* rows, size_t length,
                                                size_t count, int32_t* out) {
  const __m256i wide_ones = _mm256_set1_epi16(1);
  for (size_t r = 0; r < count; ++r) {
    const int8_t* row = rows + r * length;
    __m256i sums = _mm256_setzero_si256();
    for (size_t i = 0; i < length; i += 32) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i));
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + i));
      // Unsigned by signed: the sign of the row goes to the query. A pair is at most 2 * 128 * 127 < 2^15.
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, wide_ones));
    }
    out[r] = sum_of(sums);
  }
}

__attribute__((target("avx2,fma"))) float rescore_avx2(const float* query, const int8_t* high,
                                                       const int8_t* low, size_t length) {
  __m256 sum = _mm256_setzero_ps();
  for (size_t i = 0; i < length; i += 8) {
    const __m256i h = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(high + i)));
    const __m256i l = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low + i)));
    const __m256 value = _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_slli_epi32(h, 8), l));
    sum = _mm256_fmadd_ps(value, _mm256_loadu_ps(query + i), sum);
  }
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void scan_avx512vnni(
    const int16_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out) {
  for (size_t r = 0; r < count; ++r) {
    const int8_t* row = rows + r * length;
    __m512i even = _mm512_setzero_si512();
    __m512i odd = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 64 <= length; i += 64) {
      const __m512i a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i)));
      const __m512i b =
          _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i + 32)));
      even = _mm512_dpwssd_epi32(even, a, _mm512_loadu_si512(query + i));
      odd = _mm512_dpwssd_epi32(odd, b, _mm512_loadu_si512(query + i + 32));
    }
    if (i < length) {
      const __m512i a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i)));
      even = _mm512_dpwssd_epi32(even, a, _mm512_loadu_si512(query + i));
    }
    out[r] = _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
  }
}

/// The sums of four registers' lanes, in their order.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) __m128i sums_of(__m512i a, __m512i b,
                                                                                __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/// Four rows at a time: one reduction for all, and enough loads under way to keep the memory busy. The
/// hardware does not read ahead over the end of a page, so the rows a page away are asked for.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void sweep_avx512vnni(
    const int8_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out) {
  constexpr size_t kAhead = 4096;
  const __m512i lift = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i lifted = _mm512_setzero_si512();
  const auto mask_at = [length](size_t i) {
    return i + 64 <= length ? ~__mmask64{0} : (__mmask64{1} << 32U) - 1;
  };
  for (size_t i = 0; i < length; i += 64)
    lifted = _mm512_dpbusd_epi32(lifted, lift, _mm512_maskz_loadu_epi8(mask_at(i), query + i));
  const __m128i correction = _mm_set1_epi32(_mm512_reduce_add_epi32(lifted));
  for (size_t r = 0; r < count; r += 4) {
    const size_t left = count - r;
    // Past the last row the last one is read again, and its sums are not written.
    const int8_t* const a = rows + r * length;
    const int8_t* const b = a + (left > 1 ? length : 0);
    const int8_t* const c = b + (left > 2 ? length : 0);
    const int8_t* const d = c + (left > 3 ? length : 0);
    __m512i sa = _mm512_setzero_si512(), sb = sa, sc = sa, sd = sa;
    for (size_t i = 0; i < length; i += 64) {
      const __mmask64 mask = mask_at(i);
      const __m512i y = _mm512_maskz_loadu_epi8(mask, query + i);
      for (const int8_t* row : {a, b, c, d}) _mm_prefetch(row + i + kAhead, _MM_HINT_T0);
      sa = _mm512_dpbusd_epi32(sa, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, a + i), lift), y);
      sb = _mm512_dpbusd_epi32(sb, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, b + i), lift), y);
      sc = _mm512_dpbusd_epi32(sc, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, c + i), lift), y);
      sd = _mm512_dpbusd_epi32(sd, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, d + i), lift), y);
    }
    const __mmask8 written = left >= 4 ? 0xf : static_cast<__mmask8>((1U << left) - 1);
    _mm_mask_storeu_epi32(out + r, written, _mm_sub_epi32(sums_of(sa, sb, sc, sd), correction));
  }
}

__attribute__((target("avx2"))) int32_t pair_avx2(const int8_t* a, const int8_t* b, size_t length) {
  __m256i even = _mm256_setzero_si256();
  __m256i odd = _mm256_setzero_si256();
  for (size_t i = 0; i < length; i += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i));
    even = _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(x)),
                                                    _mm256_cvtepi8_epi16(_mm256_castsi256_si128(y))));
    odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(x, 1)),
                                                  _mm256_cvtepi8_epi16(_mm256_extracti128_si256(y, 1))));
  }
  return sum_of(_mm256_add_epi32(even, odd));
}

__attribute__((target("avx2"))) int32_t signs_avx2(const int8_t* query, const uint8_t* signs, size_t length) {
  // Four bytes of signs become 32 bytes of all ones or all zeros: each byte eight times, one bit of it left.
  const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bits = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
  const __m256i ones = _mm256_set1_epi8(1);
  const __m256i wide_ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  for (size_t i = 0; i < length; i += 32) {
    int32_t four = 0;
    std::memcpy(&four, signs + i / 8, sizeof four);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(four), spread);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), bits);
    const __m256i kept =
        _mm256_and_si256(is_set, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + i)));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(ones, kept), wide_ones));
  }
  return sum_of(sums);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) int32_t pair_avx512vnni(const int8_t* a,
                                                                                        const int8_t* b,
                                                                                        size_t length) {
  // The instruction takes unsigned by signed bytes: a is moved up by 128, and 128 * b taken away again.
  const __m512i lift = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sums = _mm512_setzero_si512();
  __m512i lifted = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + 64 <= length; i += 64) {
    const __m512i y = _mm512_loadu_si512(b + i);
    sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(_mm512_loadu_si512(a + i), lift), y);
    lifted = _mm512_dpbusd_epi32(lifted, lift, y);
  }
  if (i < length) {
    const __m512i x = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i)));
    const __m512i y = _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i)));
    sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(x, lift), y);
    lifted = _mm512_dpbusd_epi32(lifted, lift, y);
  }
  return _mm512_reduce_add_epi32(_mm512_sub_epi32(sums, lifted));
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) int32_t signs_avx512vnni(const int8_t* query,
                                                                                         const uint8_t* signs,
                                                                                         size_t length) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sums = _mm512_setzero_si512();
  for (size_t i = 0; i < length; i += 64) {
    uint64_t mask = 0;
    std::memcpy(&mask, signs + i / 8, sizeof mask);
    sums = _mm512_dpbusd_epi32(sums, _mm512_maskz_mov_epi8(mask, ones), _mm512_loadu_si512(query + i));
  }
  return _mm512_reduce_add_epi32(sums);
}

/// 1 in each byte whose bit is set in the next eight bytes.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) __m512i ones_where(const uint8_t* bits) {
  uint64_t mask = 0;
  std::memcpy(&mask, bits, sizeof mask);
  return _mm512_maskz_mov_epi8(mask, _mm512_set1_epi8(1));
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void sweep_signs_avx512vnni(
    const int8_t* query, const uint8_t* signs, size_t length, size_t count, int32_t* out) {
  const size_t row_bytes = length / 8;
  size_t r = 0;
  for (; r + 4 <= count; r += 4) {
    const uint8_t* const row = signs + r * row_bytes;
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < length; i += 64) {
      const __m512i y = _mm512_loadu_si512(query + i);
      a = _mm512_dpbusd_epi32(a, ones_where(row + i / 8), y);
      b = _mm512_dpbusd_epi32(b, ones_where(row + row_bytes + i / 8), y);
      c = _mm512_dpbusd_epi32(c, ones_where(row + 2 * row_bytes + i / 8), y);
      d = _mm512_dpbusd_epi32(d, ones_where(row + 3 * row_bytes + i / 8), y);
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r), sums_of(a, b, c, d));
  }
  for (; r < count; ++r) out[r] = signs_avx512vnni(query, signs + r * row_bytes, length);
}

bool has_avx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

constexpr DotKernels kAvx2{
    scan_avx2, sweep_avx2, rescore_avx2, pair_avx2, signs_avx2, sweep_signs_one_by_one<signs_avx2>, "avx2"};
constexpr DotKernels kAvx512Vnni{scan_avx512vnni,  sweep_avx512vnni,       rescore_avx2, pair_avx512vnni,
                                 signs_avx512vnni, sweep_signs_avx512vnni, "avx512vnni"};

#endif

}  // namespace

const DotKernels& scalar_dot_kernels() { return kScalar; }

const DotKernels* dot_kernels_named(std::string_view name) {
  if (name == kScalar.name) return &kScalar;
#if defined(__x86_64__)
  if (name == kAvx2.name && has_avx2()) return &kAvx2;
  if (name == kAvx512Vnni.name && has_avx512vnni()) return &kAvx512Vnni;
#endif
  return nullptr;
}

const DotKernels& dot_kernels() {
  static const DotKernels* const best = [] {
    for (const std::string_view name : {"avx512vnni", "avx2"}) {
      if (const DotKernels* kernels = dot_kernels_named(name)) return kernels;
    }
    return &kScalar;
  }();
  return *best;
}

}  // namespace enhanced_gptcache::index
