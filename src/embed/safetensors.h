#pragma once
// Reader of the safetensors format (8 bytes of little-endian header length, a JSON header, then
// the tensors' bytes; https://github.com/huggingface/safetensors). The header is checked wholly when
// the file is opened: every tensor's byte range lies inside the file, has the length its shape and
// type ask for, and overlaps no other; so a span handed out later is always good.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embed/model_files.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

enum class TensorType { kF32, kF16, kBf16, kI64, kI8, kOther };

/// A tensor inside the mapped file: row-major, little-endian. Valid while its SafeTensors lives.
/// `bytes` need not be aligned for its type: copy values out, or check the address first.
struct TensorView {
  TensorType type = TensorType::kOther;
  std::string type_name;  ///< as the file spells it: "F32", "BF16"...
  std::vector<uint64_t> shape;
  std::span<const std::byte> bytes;
};

/// Thread rule: immutable once made; any thread.
class SafeTensors final {
 public:
  /// kNotFound, kIo: as MappedFile; kCorrupt: truncated or damaged; kUnsupported: another format
  /// (a PyTorch archive, GGUF, a git-lfs pointer...) or an unknown tensor type.
  static Result<SafeTensors> open(const std::string& path);

  /// kNotFound: no tensor of that name; kUnsupported: one of another type than F32, F16, BF16, I64, I8.
  Result<TensorView> tensor(std::string_view name) const;
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  /// The tensor as floats, whatever float type it is stored in. As tensor(), and kCorrupt: its
  /// shape is not `shape`, or it holds a NaN or infinity; kUnsupported: an integer tensor.
  Result<std::vector<float>> floats(std::string_view name, std::span<const uint64_t> shape) const;

  /// An I8 tensor in place. As floats(); the values are not looked at.
  Result<std::span<const int8_t>> int8s(std::string_view name, std::span<const uint64_t> shape) const;

  /// The strings of the header's "__metadata__"; what is no string there is left out.
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }
  /// All names in bytewise order.
  std::vector<std::string> names() const;
  const std::string& path() const { return path_; }
  /// The whole file, for hashing.
  std::span<const std::byte> file_bytes() const { return file_.bytes(); }
  /// What follows the header: the tensors' bytes without a gap.
  std::span<const std::byte> data_bytes() const { return data_; }

 private:
  std::string path_;
  MappedFile file_;
  std::span<const std::byte> data_;
  std::map<std::string, TensorView, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

}  // namespace enhanced_gptcache::embed
