#include "match/state_bytes.h"

#include <fmt/format.h>

#include <bit>

#include "base/check.h"

namespace enhanced_gptcache::match {
namespace {

static_assert(std::endian::native == std::endian::little, "state files are little-endian");
constexpr size_t kMagicBytes = 8;
constexpr size_t kChecksumBytes = 16;

/// A checksum, not a signature: the key is public.
base::Hash128 checksum(std::string_view bytes) {
  static constexpr base::SecretKey kPublicKey{};
  return base::keyed_hash(kPublicKey, "match state", {bytes});
}

}  // namespace

StateWriter::StateWriter(std::string_view magic, uint32_t version) {
  EGPTC_CHECK(magic.size() == kMagicBytes);
  bytes_ = magic;
  put(version);
}

void StateWriter::put_string(std::string_view text) {
  put(static_cast<uint32_t>(text.size()));
  bytes_ += text;
}

std::string StateWriter::finish() && {
  const base::Hash128 sum = checksum(bytes_);
  put(sum.high);
  put(sum.low);
  return std::move(bytes_);
}

Result<StateReader> StateReader::open(std::string_view bytes, std::string_view magic, uint32_t version_max) {
  const size_t header_bytes = kMagicBytes + sizeof(uint32_t);
  if (bytes.size() < header_bytes + kChecksumBytes)
    return fail(ErrorCode::kCorrupt, fmt::format("{} bytes are too short for saved state", bytes.size()));
  if (bytes.substr(0, kMagicBytes) != magic)
    return fail(ErrorCode::kCorrupt, fmt::format("the first bytes are not \"{}\"", magic));
  StateReader reader;
  reader.bytes_ = bytes.substr(bytes.size() - kChecksumBytes);
  base::Hash128 stored;
  reader.get(stored.high);
  reader.get(stored.low);
  if (stored != checksum(bytes.substr(0, bytes.size() - kChecksumBytes)))
    return fail(ErrorCode::kCorrupt, "the checksum does not fit the content");
  reader.bytes_ = bytes.substr(kMagicBytes, bytes.size() - kMagicBytes - kChecksumBytes);
  reader.get(reader.version_);
  if (reader.version_ == 0 || reader.version_ > version_max)
    return fail(ErrorCode::kUnsupported,
                fmt::format("state version {} (this build reads 1 to {})", reader.version_, version_max));
  return reader;
}

bool StateReader::get_raw(void* data, size_t size) {
  if (size > bytes_.size()) return false;
  std::memcpy(data, bytes_.data(), size);
  bytes_.remove_prefix(size);
  return true;
}

bool StateReader::get_string(std::string& text) {
  uint32_t size = 0;
  if (!get(size) || size > bytes_.size()) return false;
  text.assign(bytes_.substr(0, size));
  bytes_.remove_prefix(size);
  return true;
}

}  // namespace enhanced_gptcache::match
