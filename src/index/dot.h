#pragma once
// The inner loops of search, in one place. A row of exact search is a unit vector in 16-bit fixed point,
// kept as two planes of bytes: value = 256 * high + low. The sweep reads the high plane only (half the
// memory traffic, which is what bounds it); the low plane is read for the few rows that can win.
// A row of a graph has one plane of bytes, and its signs as bits: the walk reads the signs only.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace enhanced_gptcache::index {

/// Rows and queries are padded with zeros to a multiple of this many elements.
inline constexpr size_t kDotPad = 32;
/// Signs, and queries against signs, are padded to a multiple of this many.
inline constexpr size_t kSignPad = 64;
/// From so many dimensions on rows have signs: with fewer, signs say too little and vectors are short anyway.
inline constexpr size_t kSignsFrom = 256;
/// Largest absolute value of a quantised query element; with it no sum overflows 32 bits below
/// kDimensionsMax: 2047 * 127 * 8192 < 2^31.
inline constexpr int kQueryMax = 2047;
inline constexpr size_t kDimensionsMax = 8192;

struct DotKernels {
  /// out[r] = sum over i of query[i] * rows[r * length + i]. `length` is a multiple of kDotPad.
  void (*scan)(const int16_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out);
  /// The same with a query of bytes, none of them -128, for many neighbouring rows: what exact search does.
  void (*sweep)(const int8_t* query, const int8_t* rows, size_t length, size_t count, int32_t* out);
  /// Sum over i of query[i] * (256 * high[i] + low[i]).
  float (*rescore)(const float* query, const int8_t* high, const int8_t* low, size_t length);
  /// Sum over i of a[i] * b[i]. `length` is a multiple of kDotPad.
  int32_t (*pair)(const int8_t* a, const int8_t* b, size_t length);
  /// Sum of query[i] over the set bits i; bit i is bit i % 8 of signs[i / 8]. `length` is a multiple of
  /// kSignPad; no query[i] is -128.
  int32_t (*signs)(const int8_t* query, const uint8_t* signs, size_t length);
  /// The same for neighbouring rows of `length` / 8 bytes of signs.
  void (*sweep_signs)(const int8_t* query, const uint8_t* signs, size_t length, size_t count, int32_t* out);
  std::string_view name;
};

/// The fastest of this processor; chosen once.
const DotKernels& dot_kernels();
/// The reference the others are tested against.
const DotKernels& scalar_dot_kernels();
/// Null when the name is unknown or this processor lacks it: "avx512vnni", "avx2", "scalar".
const DotKernels* dot_kernels_named(std::string_view name);

}  // namespace enhanced_gptcache::index
