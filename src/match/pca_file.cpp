#include "match/pca_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"
#include "match/state_bytes.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::string_view kMagic = "EGPTCPCA";
constexpr uint32_t kVersion = 2;
/// Version 1 did not say whose samples were seen.
constexpr uint32_t kOriginVersion = 2;
constexpr mode_t kFileMode = 0640;

/// A descriptor that closes itself.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

tl::unexpected<Error> io_failure(std::string_view verb, const std::string& path) {
  return fail(ErrorCode::kIo, fmt::format("cannot {} {}: {}", verb, path, std::strerror(errno)));
}

template <typename Matrix>
bool get_matrix(StateReader& reader, Matrix& matrix) {
  const size_t bytes = static_cast<size_t>(matrix.size()) * sizeof(typename Matrix::Scalar);
  return reader.get_raw(matrix.data(), bytes) && matrix.allFinite();
}

template <typename Matrix>
void put_matrix(StateWriter& writer, const Matrix& matrix) {
  writer.put_raw(matrix.data(), static_cast<size_t>(matrix.size()) * sizeof(typename Matrix::Scalar));
}

bool get_moments(StateReader& reader, size_t dimensions, Moments& moments) {
  moments.start(dimensions);
  if (!reader.get(moments.count) || !get_matrix(reader, moments.mean)) return false;
  for (Eigen::Index column = 0; column < moments.scatter.cols(); ++column) {
    for (Eigen::Index row = column; row < moments.scatter.rows(); ++row) {
      if (!reader.get(moments.scatter(row, column))) return false;
    }
  }
  return moments.scatter.allFinite();
}

std::unique_ptr<PcaModel> get_model(StateReader& reader, size_t dimensions, size_t target) {
  auto model = std::make_unique<PcaModel>();
  uint32_t effective = 0;
  model->mean.resize(static_cast<Eigen::Index>(dimensions));
  model->components.resize(static_cast<Eigen::Index>(target), static_cast<Eigen::Index>(dimensions));
  const bool read = reader.get(model->version) && reader.get(model->samples) && reader.get(effective) &&
                    reader.get(model->explained_variance) && get_matrix(reader, model->mean) &&
                    get_matrix(reader, model->components);
  model->effective = effective;
  const bool sound = model->explained_variance >= 0 && model->explained_variance <= 1 &&
                     effective <= target && model->version > 0;
  return read && sound ? std::move(model) : nullptr;
}

}  // namespace

std::string encode_pca(std::string_view origin, size_t target, const Moments& moments,
                       const PcaModel* model) {
  StateWriter writer(kMagic, kVersion);
  writer.put_string(origin);
  writer.put(static_cast<uint32_t>(moments.dimensions()));
  writer.put(static_cast<uint32_t>(target));
  writer.put(static_cast<uint8_t>(model != nullptr ? 1 : 0));
  writer.put(moments.count);
  put_matrix(writer, moments.mean);
  for (Eigen::Index column = 0; column < moments.scatter.cols(); ++column) {
    for (Eigen::Index row = column; row < moments.scatter.rows(); ++row)
      writer.put(moments.scatter(row, column));
  }
  if (model != nullptr) {
    writer.put(model->version);
    writer.put(model->samples);
    writer.put(static_cast<uint32_t>(model->effective));
    writer.put(model->explained_variance);
    put_matrix(writer, model->mean);
    put_matrix(writer, model->components);
  }
  return std::move(writer).finish();
}

Result<PcaState> decode_pca(std::string_view bytes) {
  EGPTC_TRY(StateReader reader, StateReader::open(bytes, kMagic, kVersion));
  PcaState state;
  uint32_t dimensions = 0;
  uint32_t target = 0;
  uint8_t has_model = 0;
  if (reader.version() >= kOriginVersion && !reader.get_string(state.origin))
    return fail(ErrorCode::kCorrupt, "the origin of the PCA model is damaged");
  const bool read = reader.get(dimensions) && reader.get(target) && reader.get(has_model);
  // Sizes are judged before anything of that size is allocated.
  if (!read || dimensions == 0 || dimensions > kPcaDimensionsMax || target == 0 || target > dimensions)
    return fail(ErrorCode::kCorrupt,
                fmt::format("a PCA model of {} to {} dimensions cannot be", dimensions, target));
  state.target = target;
  if (!get_moments(reader, dimensions, state.moments))
    return fail(ErrorCode::kCorrupt, "the moments of the PCA model are damaged");
  if (has_model != 0) {
    state.model = get_model(reader, dimensions, target);
    if (state.model == nullptr)
      return fail(ErrorCode::kCorrupt, "the components of the PCA model are damaged");
  }
  if (reader.left() != 0) return fail(ErrorCode::kCorrupt, "bytes follow the PCA model");
  return state;
}

Result<void> write_file_atomically(const std::string& path, std::string_view bytes) {
  const std::string fresh = path + ".new";
  {
    const File file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
    if (!file.is_open()) return io_failure("create", fresh);
    if (!base::write_all(file.descriptor(), bytes) || ::fsync(file.descriptor()) != 0) {
      auto failure = io_failure("write", fresh);
      ::unlink(fresh.c_str());
      return failure;
    }
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    auto failure = io_failure("rename a new file to", path);
    ::unlink(fresh.c_str());
    return failure;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const File directory(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open() && ::fsync(directory.descriptor()) != 0)
    return io_failure("sync the folder of", path);
  return {};
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open())
    return errno == ENOENT ? Result<std::string>(fail(ErrorCode::kNotFound, fmt::format("no file {}", path)))
                           : Result<std::string>(io_failure("open", path));
  std::string bytes;
  std::string block(size_t{1} << 16U, '\0');
  while (true) {
    const ssize_t got = ::read(file.descriptor(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_failure("read", path);
    if (got == 0) return bytes;
    bytes.append(block.data(), static_cast<size_t>(got));
    if (bytes.size() > bytes_max)
      return fail(ErrorCode::kCorrupt, fmt::format("{} is larger than {} bytes", path, bytes_max));
  }
}

}  // namespace enhanced_gptcache::match
