#include "store/vector_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "store/little_endian.h"

namespace enhanced_gptcache::store {
namespace {

constexpr size_t kHeaderBytes = 9;  // form, dimensions, scale
constexpr float kInt8Max = 127.0F;

size_t number_bytes(VectorForm form) { return form == VectorForm::kInt8 ? 1 : sizeof(float); }

float scale_of(std::span<const float> values, VectorForm form) {
  if (form == VectorForm::kFloat32) return 1.0F;
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest > 0 ? largest / kInt8Max : 1.0F;
}

}  // namespace

size_t vector_bytes(size_t dimensions, VectorForm form) {
  return dimensions == 0 ? 0 : kHeaderBytes + dimensions * number_bytes(form);
}

void write_vector(char* out, std::span<const float> values, VectorForm form) {
  if (values.empty()) return;
  const float scale = scale_of(values, form);
  out[0] = static_cast<char>(form);
  put<uint32_t>(out + 1, static_cast<uint32_t>(values.size()));
  put<float>(out + 5, scale);
  char* at = out + kHeaderBytes;
  for (const float value : values) {
    if (form == VectorForm::kInt8) {
      *at++ =
          static_cast<char>(static_cast<int8_t>(std::lround(std::clamp(value / scale, -kInt8Max, kInt8Max))));
    } else {
      put<float>(at, value);
      at += sizeof(float);
    }
  }
}

bool is_vector(std::string_view bytes) {
  if (bytes.empty()) return true;
  if (bytes.size() <= kHeaderBytes) return false;
  const auto form = static_cast<VectorForm>(bytes[0]);
  if (form != VectorForm::kFloat32 && form != VectorForm::kInt8) return false;
  const size_t dimensions = get<uint32_t>(bytes.data() + 1);
  if (bytes.size() != vector_bytes(dimensions, form)) return false;
  if (!std::isfinite(get<float>(bytes.data() + 5))) return false;
  if (form == VectorForm::kInt8) return true;
  for (size_t i = 0; i < dimensions; ++i) {
    if (!std::isfinite(get<float>(bytes.data() + kHeaderBytes + i * sizeof(float)))) return false;
  }
  return true;
}

size_t vector_length(std::string_view bytes) { return bytes.empty() ? 0 : get<uint32_t>(bytes.data() + 1); }

std::vector<float> read_vector(std::string_view bytes) {
  if (bytes.empty()) return {};
  const auto form = static_cast<VectorForm>(bytes[0]);
  const float scale = get<float>(bytes.data() + 5);
  const char* at = bytes.data() + kHeaderBytes;
  std::vector<float> values(get<uint32_t>(bytes.data() + 1));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = form == VectorForm::kInt8 ? scale * static_cast<float>(static_cast<int8_t>(at[i]))
                                          : get<float>(at + i * sizeof(float));
  }
  return values;
}

std::vector<float> unit_vector(std::vector<float> values) {
  // In lanes: with one sum, each addition waits for the one before.
  double lanes[4] = {};
  for (size_t i = 0; i < values.size(); ++i) lanes[i % 4] += static_cast<double>(values[i]) * values[i];
  const double squares = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  if (squares <= 0) return values;
  const auto inverse = static_cast<float>(1.0 / std::sqrt(squares));
  for (float& value : values) value *= inverse;
  return values;
}

std::vector<float> round_trip(std::span<const float> values, VectorForm form) {
  std::string bytes(vector_bytes(values.size(), form), '\0');
  write_vector(bytes.data(), values, form);
  return unit_vector(read_vector(bytes));
}

}  // namespace enhanced_gptcache::store
