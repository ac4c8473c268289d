#pragma once
// The files of a model folder: bounded reads of small JSON and text files, a read-only mapping for
// the large ones, and JSON access that reports instead of throwing. Everything here treats file
// contents as hostile: sizes are checked before memory is taken.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// A whole file mapped read-only. Thread rule: immutable once made. The pages stay valid while the
/// object lives, moved or not. The file must not be shortened by another process meanwhile (the
/// kernel would end the process); installing a model by rename, as scripts/fetch_model.sh does, is safe.
class MappedFile final {
 public:
  /// kNotFound: no such file; kIo: cannot be opened or mapped, or no regular file. An empty file maps to no
  /// bytes.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

/// Contents of a file of at most `bytes_max` bytes. kNotFound; kIo; kUnsupported: larger.
Result<std::string> read_small_file(const std::string& path, size_t bytes_max);

/// Parses JSON text. kCorrupt: not JSON, nested deeper than 64 levels, or not an object; the message
/// starts with `where`.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& where);

/// Parses a JSON object file. Errors of both functions above.
Result<nlohmann::json> read_json_object(const std::string& path, size_t bytes_max);

/// True when a regular file (links followed) of this name exists.
bool file_exists(const std::string& path);

/// Path of model.safetensors in `dir`. kNotFound when absent; kUnsupported when the weights are
/// there in a form that is not read (sharded, PyTorch pickle, ONNX only); the message says what to do.
Result<std::string> find_weights(const std::string& dir);

}  // namespace enhanced_gptcache::embed
