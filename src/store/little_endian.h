#pragma once
// Unaligned little-endian reads and writes. The format is little-endian; so is every machine we
// build for, which the assertion states instead of code nobody could test.

#include <bit>
#include <cstring>

namespace enhanced_gptcache::store {

static_assert(std::endian::native == std::endian::little);

template <typename T>
void put(char* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

template <typename T>
T get(const char* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

}  // namespace enhanced_gptcache::store
