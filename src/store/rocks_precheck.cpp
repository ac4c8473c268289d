#include "store/rocks_precheck.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

// RocksDB's table format: the properties are the block before the metaindex, whose place the footer tells: a
// type of checksum, then numbers of seven bits a byte. A block ends with the count of its restart points,
// whose highest bit says "hash index", and is followed by its compression and checksum.
constexpr size_t kFooterBytes = 53;
constexpr size_t kTrailerBytes = 5;
constexpr size_t kCountBytes = 4;
constexpr size_t kVarintBytesMax = 10;
constexpr unsigned char kHashIndexBit = 0x80;
/// 0x88e241b785f4cff7, little-endian: the end of a file that was written to its end.
constexpr std::string_view kMagic("\xf7\xcf\xf4\x85\xb7\x41\xe2\x88", 8);

/// 0 when it is none.
uint64_t read_varint(std::string_view in) {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min(in.size(), kVarintBytesMax); ++i) {
    const auto byte = static_cast<unsigned char>(in[i]);
    value |= static_cast<uint64_t>(byte & 0x7FU) << (7 * i);
    if ((byte & 0x80U) == 0) return value;
  }
  return 0;
}

bool claims_hash_index(const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = file ? static_cast<int64_t>(file.tellg()) : -1;
  if (size < static_cast<int64_t>(kFooterBytes)) return false;
  char footer[kFooterBytes];
  file.seekg(size - static_cast<int64_t>(kFooterBytes));
  if (!file.read(footer, sizeof footer)) return false;
  // Unfinished: a process that is killed leaves such a file, which RocksDB knows nothing of and removes.
  if (!std::string_view(footer, sizeof footer).ends_with(kMagic)) return false;
  const uint64_t metaindex = read_varint(std::string_view(footer, sizeof footer).substr(1));
  if (metaindex < kTrailerBytes + kCountBytes || metaindex >= static_cast<uint64_t>(size)) return false;
  file.seekg(static_cast<int64_t>(metaindex - kTrailerBytes - 1));
  return (static_cast<unsigned char>(file.get()) & kHashIndexBit) != 0 && file.good();
}

}  // namespace

rocksdb::Status check_tables(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    if (file->path().extension() == ".sst" && claims_hash_index(file->path()))
      return rocksdb::Status::Corruption("the properties of a table file are damaged", file->path().string());
  }
  return rocksdb::Status::OK();
}

}  // namespace enhanced_gptcache::store
