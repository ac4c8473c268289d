#pragma once
// RocksDB's log format, read past damage and written: blocks of 32 KiB, in them fragments of records, each
// with a masked CRC-32C (RFC 3720, B.4), a length and a type. Pure functions.

#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::store {

struct WalRecord {
  std::string payload;
  bool is_damaged = false;  ///< a checksum of it is wrong, or a fragment's head cannot be read
};

struct WalContent {
  std::vector<WalRecord> records;
  std::string torn;  ///< what there is of a record within which it ends, if it does
};

WalContent read_wal(std::string_view bytes);
std::string write_wal(const std::vector<WalRecord>& records);

}  // namespace enhanced_gptcache::store
