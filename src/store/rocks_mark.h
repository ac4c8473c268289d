#pragma once
// How far a table had come the last time it was surely on disk, in a small file beside it: RocksDB's sequence
// number and the manifest as it was then. A manifest or log whose damage looks like a torn end opens as an
// older state without an error, with entries that have been replaced or removed since; the mark tells.

#include <cstdint>
#include <string>

namespace enhanced_gptcache::store {

struct Mark {
  uint64_t sequence = 0;
  std::string manifest;         ///< file name; empty: no mark
  uint64_t manifest_bytes = 0;  ///< the manifest only grows
  std::string manifest_hash;    ///< of its first manifest_bytes
};

/// Of the table in `folder` as it is now. Reads the manifest again only when it is not the one of `before`,
/// and then copies it (rocks_spare.h).
Mark make_mark(const std::string& folder, uint64_t sequence, const Mark& before);
/// Before the table is opened, because opening starts another manifest. False: it has lost what it had.
bool is_manifest_whole(const std::string& folder, const Mark& mark);

/// Replaces the mark. A failure leaves the older one, which is a weaker promise and no wrong one.
void write_mark(const std::string& path, const Mark& mark);
/// Empty when there is none, or none that is whole.
Mark read_mark(const std::string& path);
void remove_mark(const std::string& path);

}  // namespace enhanced_gptcache::store
