#pragma once
// Vectors inside entry bytes: form (1 byte), dimensions (u32), scale (f32), then the numbers.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "store/entry_codec.h"

namespace enhanced_gptcache::store {

/// Bytes write_vector needs; 0 for an empty vector, which is written as nothing.
size_t vector_bytes(size_t dimensions, VectorForm form);
/// Writes exactly vector_bytes() bytes at `out`.
void write_vector(char* out, std::span<const float> values, VectorForm form);
/// True when `bytes` is empty or a well-formed vector of finite numbers.
bool is_vector(std::string_view bytes);
/// How many numbers it has. Requires is_vector(bytes), as the next.
size_t vector_length(std::string_view bytes);
std::vector<float> read_vector(std::string_view bytes);

}  // namespace enhanced_gptcache::store
