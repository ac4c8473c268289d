#include "embed/model_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

namespace enhanced_gptcache::embed {
namespace {

constexpr int kJsonDepthMax = 64;

// An open descriptor of a regular file and its size; closes itself.
class OpenFile final {
 public:
  static Result<OpenFile> open(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      const ErrorCode code = errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kIo;
      return fail(code, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    }
    OpenFile file(descriptor);
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) {
      return fail(ErrorCode::kIo, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    }
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kIo, path + " is not a regular file");
    file.size_ = static_cast<size_t>(status.st_size);
    return file;
  }
  OpenFile(OpenFile&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }

 private:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
  size_t size_ = 0;
};

// Deepest nesting of brackets outside strings. The parser keeps one stack entry per level and the
// document is later walked recursively, so depth is limited before parsing.
int json_depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  EGPTC_TRY(const OpenFile file, OpenFile::open(path));
  MappedFile mapped;
  if (file.size() == 0) return mapped;
  void* const address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (address == MAP_FAILED) {
    return fail(ErrorCode::kIo, fmt::format("cannot map {}: {}", path, std::strerror(errno)));
  }
  mapped.bytes_ = {static_cast<const std::byte*>(address), file.size()};
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::string> read_small_file(const std::string& path, size_t bytes_max) {
  EGPTC_TRY(const OpenFile file, OpenFile::open(path));
  if (file.size() > bytes_max) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} has {} bytes, at most {} are read", path, file.size(), bytes_max));
  }
  std::string contents(file.size(), '\0');
  size_t done = 0;
  while (done < contents.size()) {
    const ssize_t count = ::read(file.descriptor(), contents.data() + done, contents.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::kIo, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    if (count == 0) break;  // shortened while we read
    done += static_cast<size_t>(count);
  }
  contents.resize(done);
  return contents;
}

Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& where) {
  if (json_depth(text) > kJsonDepthMax) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is nested deeper than {} levels", where, kJsonDepthMax));
  }
  try {
    nlohmann::json parsed = nlohmann::json::parse(text);
    if (!parsed.is_object()) return fail(ErrorCode::kCorrupt, where + " is not a JSON object");
    return parsed;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is not valid JSON: {}", where, error.what()));
  }
}

Result<nlohmann::json> read_json_object(const std::string& path, size_t bytes_max) {
  EGPTC_TRY(const std::string text, read_small_file(path, bytes_max));
  return parse_json_object(text, path);
}

bool file_exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

Result<std::string> find_weights(const std::string& dir) {
  const std::string path = dir + "/model.safetensors";
  if (file_exists(path)) return path;
  if (file_exists(path + ".index.json")) {
    return fail(ErrorCode::kUnsupported,
                dir +
                    " holds sharded weights (model.safetensors.index.json); save the model "
                    "as one model.safetensors");
  }
  for (const char* const other :
       {"pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "onnx/model.onnx"}) {
    if (!file_exists(dir + "/" + other)) continue;
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} holds its weights as {} only; save them as model.safetensors", dir, other));
  }
  return fail(ErrorCode::kNotFound, fmt::format("no model.safetensors in {}", dir));
}

}  // namespace enhanced_gptcache::embed
