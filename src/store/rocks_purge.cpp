#include "store/rocks_purge.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

/// With more keys than this, most files hold one of them anyway.
constexpr size_t kSingleKeysMax = 32;
/// RocksDB takes files away on a thread of its own, a moment after it needs them no more.
constexpr std::chrono::seconds kWaitMax{20};
constexpr std::chrono::milliseconds kWaitStep{5};
constexpr std::chrono::milliseconds kWaitStepMax{500};

std::set<std::string> files_of(const std::string& folder, const char* extension) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error))
    if (file->path().extension() == extension) names.insert(file->path().filename().string());
  return names;
}

rocksdb::Status compact(RocksDb& db, rocksdb::ColumnFamilyHandle* family, const rocksdb::Slice* begin,
                        const rocksdb::Slice* end) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  // Files of the last level, too: they hold what was replaced.
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  return db.db->CompactRange(options, family, begin, end);
}

/// A file that nobody needs any more and that is still there; empty: there is none.
std::string leftover(RocksDb& db, const std::string& folder, const std::set<std::string>& old_logs) {
  for (const std::string& name : files_of(folder, ".log"))
    if (old_logs.contains(name)) return name;
  std::vector<rocksdb::LiveFileMetaData> live;
  db.db->GetLiveFilesMetaData(&live);
  std::set<std::string> wanted;
  for (const rocksdb::LiveFileMetaData& file : live) wanted.insert(fs::path(file.name).filename().string());
  for (const std::string& name : files_of(folder, ".sst"))
    if (!wanted.contains(name)) return name;
  return {};
}

}  // namespace

Result<void> purge(RocksDb& db, const std::string& folder, std::span<const base::Hash128> keys) {
  // Something in every memory table, so that the flush closes the log that is written now: a removal of what
  // is not there is enough.
  rocksdb::Status status = db.db->Put({}, db.meta, "probe", "");
  for (rocksdb::ColumnFamilyHandle* family : {db.entries, db.directory})
    if (status.ok()) status = db.db->Delete({}, family, "probe");
  const std::set<std::string> old_logs = files_of(folder, ".log");
  rocksdb::FlushOptions flush;
  flush.allow_write_stall = true;
  if (status.ok()) status = db.db->Flush(flush, {db.meta, db.entries, db.directory});
  for (rocksdb::ColumnFamilyHandle* family : {db.entries, db.directory}) {
    if (keys.empty() || keys.size() > kSingleKeysMax) {
      if (status.ok()) status = compact(db, family, nullptr, nullptr);
      continue;
    }
    for (const base::Hash128& key : keys) {
      const std::string bytes = key_bytes(key);
      const rocksdb::Slice slice(bytes);
      if (status.ok()) status = compact(db, family, &slice, &slice);
    }
  }
  if (!status.ok()) return fail(error_of(status));
  const auto end = std::chrono::steady_clock::now() + kWaitMax;
  auto step = kWaitStep;
  for (std::string old = leftover(db, folder, old_logs); !old.empty(); old = leftover(db, folder, old_logs)) {
    if (std::chrono::steady_clock::now() > end)
      return fail(ErrorCode::kIo, fmt::format("{}/{} is still there", folder, old));
    // Logs of earlier runs are found by a full scan only, which RocksDB makes every six hours, or now. Again
    // and again, because what was in use at one look may be free at the next.
    status = db.db->DisableFileDeletions();
    if (status.ok()) status = db.db->EnableFileDeletions(false);
    if (!status.ok()) return fail(error_of(status));
    std::this_thread::sleep_for(step);
    step = std::min(2 * step, kWaitStepMax);
  }
  return {};
}

}  // namespace enhanced_gptcache::store
