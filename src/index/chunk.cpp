#include "index/chunk.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "index/rounding.h"

namespace enhanced_gptcache::index {
namespace {

constexpr size_t kLine = 64;
/// Largest 16-bit value whose high part, rounded to nearest, still fits a signed byte.
constexpr float kValueMax = 127.0F * 256.0F + 127.0F;

size_t up_to_line(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

Chunk::Ptr Chunk::create(size_t capacity, size_t row_bytes) {
  const size_t labels_at = up_to_line(sizeof(Chunk));
  const size_t scales_at = labels_at + up_to_line(capacity * sizeof(std::atomic<uint64_t>));
  const size_t residuals_at = scales_at + capacity * sizeof(float);
  const size_t sign_length = row_bytes < kSignsFrom ? 0 : (row_bytes + kSignPad - 1) / kSignPad * kSignPad;
  const size_t sign_scales_at = residuals_at + capacity * sizeof(float);
  const size_t signs_at = up_to_line(sign_scales_at + (sign_length == 0 ? 0 : capacity * sizeof(float)));
  const size_t high_at = up_to_line(signs_at + capacity * (sign_length / 8));
  const size_t low_at = high_at + capacity * row_bytes;
  const size_t bytes = up_to_line(low_at + capacity * row_bytes);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kLine, bytes));
  EGPTC_CHECK(memory != nullptr);
  Chunk* chunk = new (memory) Chunk;
  chunk->capacity_ = capacity;
  chunk->row_bytes_ = row_bytes;
  chunk->bytes_ = bytes;
  chunk->labels_ = reinterpret_cast<std::atomic<uint64_t>*>(memory + labels_at);
  for (size_t row = 0; row < capacity; ++row) new (chunk->labels_ + row) std::atomic<uint64_t>(kDeadLabel);
  chunk->scales_ = reinterpret_cast<float*>(memory + scales_at);
  chunk->residuals_ = reinterpret_cast<float*>(memory + residuals_at);
  chunk->sign_length_ = sign_length;
  chunk->sign_scales_ = reinterpret_cast<float*>(memory + sign_scales_at);
  chunk->signs_ = reinterpret_cast<uint8_t*>(memory + signs_at);
  chunk->high_ = reinterpret_cast<int8_t*>(memory + high_at);
  chunk->low_ = reinterpret_cast<int8_t*>(memory + low_at);
  return Ptr(chunk);
}

void Chunk::Free::operator()(Chunk* chunk) const {
  chunk->~Chunk();
  std::free(chunk);
}

/// Of a vector that is not finite, none: its estimate is 0.
void Chunk::set_signs(size_t row, std::span<const float> vector) {
  if (sign_length_ == 0) return;
  uint8_t* const signs = signs_ + row * (sign_length_ / 8);
  std::memset(signs, 0, sign_length_ / 8);
  sign_scales_[row] = 0;
  double absolutes = 0;
  double squares = 0;
  for (const float value : vector) {
    absolutes += std::fabs(value);
    squares += static_cast<double>(value) * value;
  }
  if (!std::isfinite(squares) || absolutes <= 0) return;
  for (size_t i = 0; i < vector.size(); ++i) {
    if (vector[i] > 0) signs[i / 8] = static_cast<uint8_t>(signs[i / 8] | 1U << i % 8);
  }
  sign_scales_[row] = static_cast<float>(squares / absolutes);
}

void Chunk::publish(size_t row, uint64_t label, std::span<const float> vector) {
  float largest = 0;
  for (const float value : vector) largest = std::max(largest, std::fabs(value));
  // A vector that is not finite is stored as zeros: it is found by no search with a positive floor.
  bool finite = true;
  for (const float value : vector) finite = finite && std::isfinite(value);
  const float scale = finite ? largest / kValueMax : 0;
  const float inverse = scale > 0 ? 1.0F / scale : 0;

  int8_t* high = high_ + row * row_bytes_;
  int8_t* low = low_ + row * row_bytes_;
  std::memset(high, 0, row_bytes_);
  std::memset(low, 0, row_bytes_);
  double left_out = 0;
  for (size_t i = 0; i < vector.size() && inverse > 0; ++i) {
    const float exact = std::clamp(vector[i] * inverse, -kValueMax, kValueMax);
    const int value = rounded(exact);
    const int high_part = (value + 128) >> 8;  // rounds to nearest, so low_part fits a signed byte
    high[i] = static_cast<int8_t>(high_part);
    low[i] = static_cast<int8_t>(value - high_part * 256);
    const double rest = static_cast<double>(exact) - 256.0 * high_part;
    left_out += rest * rest;
  }
  scales_[row] = scale;
  residuals_[row] = static_cast<float>(std::sqrt(left_out) * scale);
  set_signs(row, vector);
  labels_[row].store(label, std::memory_order_release);
}

void Chunk::publish_copy(size_t row, const Chunk& from, size_t from_row) {
  std::memcpy(high_ + row * row_bytes_, from.high(from_row), row_bytes_);
  std::memcpy(low_ + row * row_bytes_, from.low(from_row), row_bytes_);
  if (sign_length_ > 0) {
    std::memcpy(signs_ + row * (sign_length_ / 8), from.signs(from_row), sign_length_ / 8);
    sign_scales_[row] = from.sign_scale(from_row);
  }
  scales_[row] = from.scale(from_row);
  residuals_[row] = from.residual(from_row);
  labels_[row].store(from.label(from_row), std::memory_order_release);
}

}  // namespace enhanced_gptcache::index
