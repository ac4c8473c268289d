#include "embed/int8_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "embed/int8_model.h"
#include "embed/quantiser.h"

namespace enhanced_gptcache::embed {
namespace {

static_assert(std::endian::native == std::endian::little, "the packed file is written as it lies in memory");

constexpr size_t kPageBytes = 4096;
constexpr char kMagic[8] = {'E', 'G', 'P', 'T', 'I', 'N', 'T', '8'};

struct Header {
  char magic[8];
  uint32_t format_version;
  uint32_t quantiser_version;
  uint32_t shape[6];
  uint64_t payload_bytes;
  uint64_t source[2];
  base::Sha256 weights_sha256;
  uint64_t checksum[2];
};
static_assert(sizeof(Header) == 112 && sizeof(Header) <= kInt8HeaderBytes);

Header make_header(const ModelConfig& config, const base::Hash128& source) {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format_version = kInt8FormatVersion;
  header.quantiser_version = kQuantiserVersion;
  const uint32_t shape[] = {config.hidden_size,       config.layers,     config.heads,
                            config.intermediate_size, config.vocab_size, config.max_positions};
  std::memcpy(header.shape, shape, sizeof shape);
  header.payload_bytes = int8_model_bytes(config);
  header.source[0] = source.high;
  header.source[1] = source.low;
  return header;
}

void set_checksum(Header& header, std::span<const std::byte> payload) {
  const std::string_view head(reinterpret_cast<const char*>(&header), offsetof(Header, checksum));
  const std::string_view body(reinterpret_cast<const char*>(payload.data()), payload.size());
  const base::Hash128 hash = base::keyed_hash(base::SecretKey{}, "int8-file", {head, body});
  header.checksum[0] = hash.high;
  header.checksum[1] = hash.low;
}

std::array<std::byte, kInt8HeaderBytes> header_bytes(const Header& header) {
  std::array<std::byte, kInt8HeaderBytes> bytes{};
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

std::string system_reason(const char* what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

bool write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

void Int8Block::release_pages(size_t bytes) const {
  const std::span<const std::byte> file = file_.bytes();
  const size_t whole_pages = std::min(file.size(), kInt8HeaderBytes + bytes) / kPageBytes * kPageBytes;
  // A wish, too.
  if (mapped_ && whole_pages > 0)
    static_cast<void>(::madvise(const_cast<std::byte*>(file.data()), whole_pages, MADV_DONTNEED));
}

Result<Int8Block> map_int8_file(const std::string& path, const ModelConfig& config,
                                const base::Hash128& source) {
  EGPTC_TRY(auto file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file.bytes();
  Header expected = make_header(config, source);
  if (bytes.size() < kInt8HeaderBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is no packed int8 file", path));
  }
  if (std::memcmp(bytes.data(), &expected, offsetof(Header, weights_sha256)) != 0) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} was made from other weights or by another version", path));
  }
  const std::span<const std::byte> payload = bytes.subspan(kInt8HeaderBytes);
  if (payload.size() != expected.payload_bytes) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} has {} bytes of payload, expected {}", path,
                                                 payload.size(), expected.payload_bytes));
  }
  std::memcpy(&expected.weights_sha256, bytes.data() + offsetof(Header, weights_sha256),
              sizeof expected.weights_sha256);
  set_checksum(expected, payload);
  if (std::memcmp(bytes.data(), header_bytes(expected).data(), kInt8HeaderBytes) != 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("the checksum of {} does not match its contents", path));
  }
  return Int8Block(std::move(file), expected.weights_sha256);
}

Result<std::string> write_int8_file(const std::string& path, const ModelConfig& config,
                                    const base::Hash128& source, const Int8Block& block) {
  const std::span<const std::byte> payload = block.bytes();
  Header header = make_header(config, source);
  header.weights_sha256 = block.weights_sha256();
  set_checksum(header, payload);
  const std::string temporary = fmt::format("{}.{}.tmp", path, base::random_hex(8));
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return fail(ErrorCode::kIo, system_reason("create", temporary));
  const bool written =
      write_all(file, header_bytes(header)) && write_all(file, payload) && ::fsync(file) == 0;
  std::string reason = written ? "" : system_reason("write", temporary);
  if (::close(file) != 0 && reason.empty()) reason = system_reason("close", temporary);
  if (reason.empty() && std::rename(temporary.c_str(), path.c_str()) != 0)
    reason = system_reason("rename", path);
  if (reason.empty()) return path;
  ::unlink(temporary.c_str());
  return fail(ErrorCode::kIo, std::move(reason));
}

Result<Int8Block> open_int8_block(const std::string& path, const ModelConfig& config,
                                  const base::Hash128& source,
                                  const std::function<Result<Int8Block>()>& build) {
  auto mapped = map_int8_file(path, config, source);
  if (mapped) return mapped;
  if (mapped.error().code == ErrorCode::kNotFound) {
    base::log_info("packing int8 weights into {} (once per model)", path);
  } else {
    base::log_warning("packing int8 weights anew: {}", mapped.error().message);
  }
  EGPTC_TRY(auto built, build());
  const auto written = write_int8_file(path, config, source, built);
  if (!written) {
    base::log_warning("packed int8 weights stay in memory, the next start packs again: {}",
                      written.error().message);
    return built;
  }
  // Mapped pages are shared with other processes and need not be written to swap.
  auto again = map_int8_file(path, config, source);
  if (again) return again;
  return built;
}

}  // namespace enhanced_gptcache::embed
