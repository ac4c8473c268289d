#include "cache/graph_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "store/little_endian.h"

namespace enhanced_gptcache::cache {
namespace {

using store::get;
using store::put;

constexpr std::string_view kMagic = "EGPTGRPH";
constexpr uint32_t kVersion = 1;
constexpr size_t kVersionAt = 8;
constexpr size_t kDimensionsAt = 12;
constexpr size_t kPartitionAt = 16;
constexpr size_t kModelAt = 32;
constexpr size_t kHeadSumAt = 48;
constexpr size_t kHeadBytes = 64;
constexpr size_t kBlockHeadBytes = 8;
constexpr size_t kSumBytes = sizeof(base::Hash128);
constexpr size_t kRowBytesMin = sizeof(base::Hash128) + 1;
constexpr size_t kRowBytesMax = kRowBytesMin + index::kLinksMax * sizeof(uint32_t);

void put_hash(char* out, const base::Hash128& hash) {
  put<uint64_t>(out, hash.high);
  put<uint64_t>(out + 8, hash.low);
}
base::Hash128 get_hash(const char* in) { return {get<uint64_t>(in), get<uint64_t>(in + 8)}; }

tl::unexpected<Error> io_failure(const char* what, const std::string& path) {
  return fail(ErrorCode::kIo, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}
tl::unexpected<Error> corrupt(std::string_view why) {
  return fail(ErrorCode::kCorrupt, fmt::format("graph snapshot: {}", why));
}

base::Hash128 head_sum(const base::SecretKey& key, std::string_view head) {
  return base::keyed_hash(key, "graph snapshot head", {head.substr(0, kHeadSumAt)});
}

/// A block belongs to its file and to its place in it.
base::Hash128 block_sum(const base::SecretKey& key, std::string_view head, uint64_t number,
                        std::string_view block_head, std::string_view payload) {
  char place[sizeof number];
  put<uint64_t>(place, number);
  return base::keyed_hash(key, "graph snapshot block",
                          {head, std::string_view(place, sizeof place), block_head, payload});
}

void append_row(std::string& out, const GraphFileRow& row) {
  const auto end = std::find(row.links.begin(), row.links.end(), index::kNoRow);
  const auto count = static_cast<size_t>(end - row.links.begin());
  char bytes[kRowBytesMax];
  put_hash(bytes, row.id);
  bytes[sizeof(base::Hash128)] = static_cast<char>(count);
  std::memcpy(bytes + kRowBytesMin, row.links.data(), count * sizeof(uint32_t));
  out.append(bytes, kRowBytesMin + count * sizeof(uint32_t));
}

/// False: it is cut or has too many links.
bool take_row(std::string_view& in, GraphFileRow& row) {
  if (in.size() < kRowBytesMin) return false;
  row.id = get_hash(in.data());
  const size_t count = static_cast<unsigned char>(in[sizeof(base::Hash128)]);
  if (count > index::kLinksMax || in.size() < kRowBytesMin + count * sizeof(uint32_t)) return false;
  row.links.fill(index::kNoRow);
  std::memcpy(row.links.data(), in.data() + kRowBytesMin, count * sizeof(uint32_t));
  in.remove_prefix(kRowBytesMin + count * sizeof(uint32_t));
  return true;
}

}  // namespace

GraphFileWriter::~GraphFileWriter() {
  if (file_) ::unlink(new_path().c_str());
}

Result<GraphFileWriter> GraphFileWriter::create(const std::string& path, const base::SecretKey& key,
                                                const GraphFileHead& head) {
  const std::string fresh = path + ".new";
  base::Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return io_failure("write", fresh);
  GraphFileWriter writer(path, key, std::move(file));
  writer.head_.assign(kHeadBytes, '\0');
  char* out = writer.head_.data();
  std::memcpy(out, kMagic.data(), kMagic.size());
  put<uint32_t>(out + kVersionAt, kVersion);
  put<uint32_t>(out + kDimensionsAt, head.dimensions);
  put_hash(out + kPartitionAt, head.partition);
  put_hash(out + kModelAt, head.model);
  put_hash(out + kHeadSumAt, head_sum(key, writer.head_));
  EGPTC_TRY_VOID(writer.write(writer.head_));
  return writer;
}

Result<void> GraphFileWriter::write(std::string_view bytes) {
  if (!base::write_all(file_.get(), bytes)) return io_failure("write", new_path());
  return {};
}

Result<void> GraphFileWriter::write_block(uint32_t rows, std::string_view payload) {
  char head[kBlockHeadBytes];
  char sum[kSumBytes];
  put<uint32_t>(head, rows);
  put<uint32_t>(head + 4, static_cast<uint32_t>(payload.size()));
  const std::string_view head_text(head, sizeof head);
  put_hash(sum, block_sum(key_, head_, blocks_++, head_text, payload));
  EGPTC_TRY_VOID(write(head_text));
  EGPTC_TRY_VOID(write(payload));
  return write(std::string_view(sum, sizeof sum));
}

Result<void> GraphFileWriter::add(std::span<const GraphFileRow> rows) {
  std::string payload;
  payload.reserve(rows.size() * kRowBytesMax);
  for (const GraphFileRow& row : rows) append_row(payload, row);
  rows_ += rows.size();
  return write_block(static_cast<uint32_t>(rows.size()), payload);
}

Result<void> GraphFileWriter::finish() {
  char total[sizeof rows_];
  put<uint64_t>(total, rows_);
  EGPTC_TRY_VOID(write_block(0, std::string_view(total, sizeof total)));
  if (::fsync(file_.get()) != 0) return io_failure("sync", new_path());
  if (::rename(new_path().c_str(), path_.c_str()) != 0) return io_failure("replace", path_);
  file_.reset();
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const base::Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory && ::fsync(directory.get()) != 0) return io_failure("sync", folder);
  return {};
}

Result<GraphFileReader> GraphFileReader::open(const std::string& path, const base::SecretKey& key) {
  // Non-blocking, so that a FIFO in place of the file cannot hold the start up.
  base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == ENOENT) return fail(ErrorCode::kNotFound, path + " is not there");
  if (!file) return io_failure("read", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return corrupt("no regular file");
  GraphFileReader reader(key, std::move(file));
  EGPTC_TRY_VOID(reader.read_head());
  return reader;
}

Result<void> GraphFileReader::read_exactly(char* out, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::read(file_.get(), out, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_failure("read", "a graph snapshot");
    if (got == 0) return corrupt("it is cut");
    out += got;
    bytes -= static_cast<size_t>(got);
  }
  return {};
}

Result<void> GraphFileReader::read_head() {
  head_bytes_.assign(kHeadBytes, '\0');
  EGPTC_TRY_VOID(read_exactly(head_bytes_.data(), kHeadBytes));
  const char* in = head_bytes_.data();
  if (std::string_view(head_bytes_).substr(0, kMagic.size()) != kMagic) return corrupt("it is none");
  const auto version = get<uint32_t>(in + kVersionAt);
  if (version > kVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("graph snapshot: version {}, this build reads up to {}", version, kVersion));
  }
  if (version == 0 || get_hash(in + kHeadSumAt) != head_sum(key_, head_bytes_))
    return corrupt("its head is damaged or was written under another instance key");
  head_ = {get<uint32_t>(in + kDimensionsAt), get_hash(in + kPartitionAt), get_hash(in + kModelAt)};
  return {};
}

Result<void> GraphFileReader::rewind() {
  if (::lseek(file_.get(), kHeadBytes, SEEK_SET) < 0) return io_failure("read", "a graph snapshot");
  blocks_ = 0;
  rows_ = 0;
  return {};
}

Result<void> GraphFileReader::next(std::vector<GraphFileRow>& rows) {
  rows.clear();
  char head[kBlockHeadBytes];
  char sum[kSumBytes];
  EGPTC_TRY_VOID(read_exactly(head, sizeof head));
  const auto count = get<uint32_t>(head);
  const auto bytes = get<uint32_t>(head + 4);
  if (count > kGraphBlockRows || bytes > kGraphBlockRows * kRowBytesMax)
    return corrupt("a block is too large");
  payload_.resize(bytes);
  EGPTC_TRY_VOID(read_exactly(payload_.data(), bytes));
  EGPTC_TRY_VOID(read_exactly(sum, sizeof sum));
  const std::string_view head_text(head, sizeof head);
  if (get_hash(sum) != block_sum(key_, head_bytes_, blocks_++, head_text, payload_))
    return corrupt("the checksum of a block does not match");
  if (count == 0) {
    char more = 0;
    if (bytes != sizeof(uint64_t) || get<uint64_t>(payload_.data()) != rows_ ||
        ::read(file_.get(), &more, 1) != 0)
      return corrupt("its end is none");
    return {};
  }
  rows_ += count;
  if (rows_ > index::kRowsMax) return corrupt("it has too many rows");
  rows.resize(count);
  std::string_view left = payload_;
  for (GraphFileRow& row : rows) {
    if (!take_row(left, row)) return corrupt("a row is cut");
  }
  if (!left.empty()) return corrupt("a block is longer than its rows");
  return {};
}

}  // namespace enhanced_gptcache::cache
