#include "embed/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "embed/model_files_json.h"

namespace enhanced_gptcache::embed {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used in place");

constexpr size_t kPrefixBytes = 8;
// The reference implementation's own limit on the header.
constexpr uint64_t kHeaderBytesMax = 100'000'000;
constexpr size_t kTensorsMax = 100'000;
constexpr size_t kDimensionsMax = 8;

struct TypeInfo {
  std::string_view name;
  size_t bytes;
  TensorType type;
};
constexpr std::array<TypeInfo, 15> kTypes{{{"F32", 4, TensorType::kF32},
                                           {"F16", 2, TensorType::kF16},
                                           {"BF16", 2, TensorType::kBf16},
                                           {"I64", 8, TensorType::kI64},
                                           {"F64", 8, TensorType::kOther},
                                           {"U64", 8, TensorType::kOther},
                                           {"I32", 4, TensorType::kOther},
                                           {"U32", 4, TensorType::kOther},
                                           {"I16", 2, TensorType::kOther},
                                           {"U16", 2, TensorType::kOther},
                                           {"I8", 1, TensorType::kI8},
                                           {"U8", 1, TensorType::kOther},
                                           {"BOOL", 1, TensorType::kOther},
                                           {"F8_E4M3", 1, TensorType::kOther},
                                           {"F8_E5M2", 1, TensorType::kOther}}};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Names the format of a file that is no safetensors file, when its first bytes are well known.
std::optional<std::string_view> foreign_format(std::string_view start) {
  struct Magic {
    std::string_view bytes, name;
  };
  constexpr std::array<Magic, 7> kMagics{
      {{"PK\x03\x04", "a zip archive (a PyTorch .bin?)"},
       {"\x80\x02", "a Python pickle (an old PyTorch .bin?)"},
       {"GGUF", "a GGUF file"},
       {"version https://git-lfs", "a git-lfs pointer, not the file itself; run git lfs pull"},
       {"\x89HDF\r\n", "an HDF5 file"},
       {"<!", "a web page"},
       {"<html", "a web page"}}};
  for (const Magic& magic : kMagics) {
    if (start.starts_with(magic.bytes)) return magic.name;
  }
  return std::nullopt;
}

// An unsigned element of a JSON list.
std::optional<uint64_t> unsigned_at(const nlohmann::json& list, size_t i) {
  if (!list[i].is_number_unsigned()) return std::nullopt;
  return list[i].get<uint64_t>();
}

// Product of the shape times the element size; nothing on overflow.
std::optional<uint64_t> bytes_needed(const std::vector<uint64_t>& shape, uint64_t element_bytes) {
  uint64_t bytes = element_bytes;
  for (const uint64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

Result<std::vector<uint64_t>> read_shape(const JsonFields& fields) {
  const nlohmann::json* const list = fields.find("shape");
  if (list == nullptr || !list->is_array() || list->size() > kDimensionsMax) {
    return fields.failure(ErrorCode::kCorrupt,
                          fmt::format("shape is not a list of at most {} sizes", kDimensionsMax));
  }
  std::vector<uint64_t> shape;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::optional<uint64_t> size = unsigned_at(*list, i);
    if (!size) return fields.failure(ErrorCode::kCorrupt, fmt::format("shape holds {}", shown((*list)[i])));
    shape.push_back(*size);
  }
  return shape;
}

Result<TensorView> read_tensor(const JsonFields& fields, std::span<const std::byte> data) {
  TensorView tensor;
  EGPTC_TRY(tensor.type_name, fields.text("dtype"));
  const auto* const info = std::find_if(
      kTypes.begin(), kTypes.end(), [&](const TypeInfo& known) { return known.name == tensor.type_name; });
  if (info == kTypes.end()) {
    return fields.failure(ErrorCode::kUnsupported,
                          fmt::format("dtype {} is not known", shown(*fields.find("dtype"))));
  }
  tensor.type = info->type;
  EGPTC_TRY(tensor.shape, read_shape(fields));
  const nlohmann::json* const offsets = fields.find("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
    return fields.failure(ErrorCode::kCorrupt, "data_offsets is not a pair");
  }
  const std::optional<uint64_t> begin = unsigned_at(*offsets, 0);
  const std::optional<uint64_t> end = unsigned_at(*offsets, 1);
  if (!begin || !end || *begin > *end || *end > data.size()) {
    return fields.failure(
        ErrorCode::kCorrupt,
        fmt::format("data_offsets [{}, {}] do not lie in the {} bytes of data the file has; it "
                    "is truncated or damaged",
                    shown((*offsets)[0]), shown((*offsets)[1]), data.size()));
  }
  if (bytes_needed(tensor.shape, info->bytes) != *end - *begin) {
    return fields.failure(ErrorCode::kCorrupt,
                          fmt::format("{} bytes do not hold shape [{}] of {}", *end - *begin,
                                      fmt::join(tensor.shape, ", "), tensor.type_name));
  }
  tensor.bytes = data.subspan(*begin, *end - *begin);
  return tensor;
}

// Tensors share no byte and leave none between them, as the format demands.
Result<void> check_layout(const std::map<std::string, TensorView, std::less<>>& tensors,
                          std::span<const std::byte> data, const std::string& path) {
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.bytes.empty())
      ranges.emplace_back(tensor.bytes.data(), tensor.bytes.data() + tensor.bytes.size());
  }
  std::sort(ranges.begin(), ranges.end());
  const std::byte* covered = data.data();
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: tensors {} at byte {} of the data", path,
                              begin < covered ? "overlap" : "leave a gap", begin - data.data()));
    }
    covered = end;
  }
  const size_t rest = data.size() - static_cast<size_t>(covered - data.data());
  if (rest != 0)
    return fail(ErrorCode::kCorrupt, fmt::format("{}: {} bytes after the last tensor", path, rest));
  return {};
}

Result<std::string_view> find_header(std::span<const std::byte> file, const std::string& path) {
  const std::string_view start = as_text(file.first(std::min<size_t>(file.size(), 64)));
  if (const auto name = foreign_format(start)) {
    return fail(ErrorCode::kUnsupported, fmt::format("{} is no safetensors file: it is {}", path, *name));
  }
  if (file.size() < kPrefixBytes + 2) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("{} has {} bytes, too few for a safetensors file", path, file.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kHeaderBytesMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} states a header of {} bytes, at most {} are allowed; it is damaged or no "
                            "safetensors file",
                            path, length, kHeaderBytesMax));
  }
  if (length > file.size() - kPrefixBytes) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is truncated: a header of {} bytes in a file of {}",
                                                 path, length, file.size()));
  }
  return as_text(file.subspan(kPrefixBytes, length));
}

float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1F;
  const uint32_t fraction = half & 0x3FF;
  if (exponent == 0) {  // zero and subnormals: fraction times 2 to the power -24
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 0xFF : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

float float_at(const TensorView& tensor, size_t i) {
  if (tensor.type == TensorType::kF32) {
    float value = 0;
    std::memcpy(&value, tensor.bytes.data() + 4 * i, sizeof value);
    return value;
  }
  uint16_t half = 0;
  std::memcpy(&half, tensor.bytes.data() + 2 * i, sizeof half);
  return tensor.type == TensorType::kF16 ? half_to_float(half) : std::bit_cast<float>(uint32_t{half} << 16);
}

Result<void> check_shape(const TensorView& view, std::span<const uint64_t> shape, const std::string& where) {
  if (std::equal(view.shape.begin(), view.shape.end(), shape.begin(), shape.end())) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("{} has shape [{}], the configuration asks for [{}]", where,
                                               fmt::join(view.shape, ", "), fmt::join(shape, ", ")));
}

}  // namespace

Result<SafeTensors> SafeTensors::open(const std::string& path) {
  SafeTensors file;
  file.path_ = path;
  EGPTC_TRY(file.file_, MappedFile::open(path));
  EGPTC_TRY(const std::string_view header, find_header(file.file_bytes(), path));
  EGPTC_TRY(const nlohmann::json json, parse_json_object(header, path + ": header"));
  if (json.size() > kTensorsMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} has {} tensors, at most {} are read", path, json.size(), kTensorsMax));
  }
  const std::span<const std::byte> data = file.file_bytes().subspan(kPrefixBytes + header.size());
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, text] : value.items()) {
        if (text.is_string()) file.metadata_.emplace(key, text.get<std::string>());
      }
      continue;
    }
    const std::string where = fmt::format("{}: tensor \"{}\"", path, name);
    if (!value.is_object()) return fail(ErrorCode::kCorrupt, where + " is not an object");
    EGPTC_TRY(TensorView tensor, read_tensor(JsonFields(value, where), data));
    file.tensors_.emplace(name, std::move(tensor));
  }
  if (auto ok = check_layout(file.tensors_, data, path); !ok) return fail(ok.error());
  file.data_ = data;
  return file;
}

Result<TensorView> SafeTensors::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return fail(ErrorCode::kNotFound, fmt::format("{} has no tensor \"{}\"", path_, name));
  }
  if (found->second.type == TensorType::kOther) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: tensor \"{}\" is of type {}, supported are F32, F16, BF16, "
                            "I64, I8",
                            path_, name, found->second.type_name));
  }
  return found->second;
}

Result<std::vector<float>> SafeTensors::floats(std::string_view name, std::span<const uint64_t> shape) const {
  EGPTC_TRY(const TensorView view, tensor(name));
  if (view.type == TensorType::kI64 || view.type == TensorType::kI8) {
    return fail(ErrorCode::kUnsupported, fmt::format("{}: tensor \"{}\" holds integers", path_, name));
  }
  EGPTC_TRY_VOID(check_shape(view, shape, fmt::format("{}: tensor \"{}\"", path_, name)));
  const size_t count = view.bytes.size() / (view.type == TensorType::kF32 ? 4 : 2);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = float_at(view, i);
    if (!std::isfinite(values[i])) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: tensor \"{}\" holds {} at {}", path_, name, values[i], i));
    }
  }
  return values;
}

Result<std::span<const int8_t>> SafeTensors::int8s(std::string_view name,
                                                   std::span<const uint64_t> shape) const {
  EGPTC_TRY(const TensorView view, tensor(name));
  const std::string where = fmt::format("{}: tensor \"{}\"", path_, name);
  if (view.type != TensorType::kI8) {
    return fail(ErrorCode::kUnsupported, fmt::format("{} is of type {}, not I8", where, view.type_name));
  }
  EGPTC_TRY_VOID(check_shape(view, shape, where));
  return std::span<const int8_t>(reinterpret_cast<const int8_t*>(view.bytes.data()), view.bytes.size());
}

std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

}  // namespace enhanced_gptcache::embed
