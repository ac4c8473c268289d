#include "cache/graph_snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/epoch.h"
#include "base/log.h"

namespace enhanced_gptcache::cache {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSuffix = ".graph";
constexpr const char* kAside = ".aside";
/// With fewer of its rows still stored, a graph of them is worse than a new one.
constexpr double kPresentMin = 0.75;

}  // namespace

GraphSnapshots::GraphSnapshots(std::string folder, const base::SecretKey& key, std::string_view model_epoch,
                               size_t dimensions)
    : folder_(std::move(folder)),
      key_(key),
      model_(base::keyed_hash(key, "graph snapshot model", {model_epoch})),
      dimensions_(dimensions) {}

std::string GraphSnapshots::path_of(const Partition& partition) const {
  return folder_ + "/" + partition.key().hex() + kSuffix;
}

GraphFileHead GraphSnapshots::head_of(const Partition& partition) const {
  return {static_cast<uint32_t>(dimensions_), partition.key(), model_};
}

/// All of it, before any of it is used.
Result<void> GraphSnapshots::check(GraphFileReader& file, const Partition& partition,
                                   const EntryStore& entries) const {
  if (file.head() != head_of(partition))
    return fail(ErrorCode::kUnsupported, "it is of another model or partition");
  size_t rows = 0;
  size_t present = 0;
  std::vector<GraphFileRow> block;
  do {
    EGPTC_TRY_VOID(file.next(block));
    for (const GraphFileRow& row : block) {
      if (row.is_empty()) continue;
      ++rows;
      present += entries.find_member(row.id, partition) != nullptr;
    }
  } while (!block.empty());
  if (static_cast<double>(present) < kPresentMin * static_cast<double>(rows) || present == 0) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("only {} of the {} entries in it are still stored", present, rows));
  }
  return file.rewind();
}

Result<size_t> GraphSnapshots::read(const std::string& path, Partition& partition, const EntryStore& entries,
                                    const Partition::VectorOf& vector_of, size_t threads) {
  EGPTC_TRY(GraphFileReader file, GraphFileReader::open(path, key_));
  EGPTC_TRY_VOID(check(file, partition, entries));
  std::vector<GraphFileRow> block;
  std::vector<index::LinkedRow> rows;
  while (true) {
    EGPTC_TRY_VOID(file.next(block));
    if (block.empty()) break;
    rows.clear();
    for (const GraphFileRow& row : block) {
      const Record* member = row.is_empty() ? nullptr : entries.find_member(row.id, partition);
      rows.push_back({member == nullptr ? index::kDeadLabel : Partition::label_of(*member), row.links});
    }
    partition.restore(rows, vector_of, threads);
  }
  return partition.finish_restore();
}

void GraphSnapshots::put_aside(const std::string& path, const Error& why) {
  std::error_code ignored;
  fs::rename(path, path + kAside, ignored);
  base::log_warning("{} cannot be used ({}): the graph is built anew; the file is kept as {}{}", path,
                    why.message, path, kAside);
  const std::lock_guard lock(stats_mutex_);
  ++stats_.put_aside;
  stats_.problem = why.message;
}

bool GraphSnapshots::restore(Partition& partition, const EntryStore& entries,
                             const Partition::VectorOf& vector_of, size_t threads) {
  if (folder_.empty()) return false;
  const std::lock_guard lock(mutex_);
  const std::string path = path_of(partition);
  const auto rows = read(path, partition, entries, vector_of, threads);
  if (!rows) {
    partition.abandon_restore();
    if (rows.error().code != ErrorCode::kNotFound) put_aside(path, rows.error());
    return false;
  }
  saved_[partition.key()] = {partition.graph(), partition.graph_changes()};
  const std::lock_guard stats_lock(stats_mutex_);
  ++stats_.restored;
  stats_.restored_rows += *rows;
  return true;
}

bool GraphSnapshots::is_due(const Partition& partition, double share) const {
  const uint64_t graph = partition.graph();
  if (graph == 0) return false;
  const auto found = saved_.find(partition.key());
  if (found == saved_.end() || found->second.graph != graph) return true;
  const uint64_t changes = partition.graph_changes() - found->second.changes;
  return changes > 0 && static_cast<double>(changes) >= share * static_cast<double>(partition.size());
}

Result<void> GraphSnapshots::write(const Partition& partition, uint64_t graph) {
  std::error_code error;
  if (fs::create_directories(folder_, error)) fs::permissions(folder_, fs::perms::owner_all, error);
  EGPTC_TRY(GraphFileWriter file, GraphFileWriter::create(path_of(partition), key_, head_of(partition)));
  std::vector<GraphFileRow> rows;
  for (uint32_t from = 0;; from += kGraphBlockRows) {
    rows.clear();
    if (!partition.copy_graph(graph, from, kGraphBlockRows, rows))
      return fail(ErrorCode::kUnavailable, "the graph was replaced meanwhile");
    if (rows.empty()) return file.finish();
    EGPTC_TRY_VOID(file.add(rows));
  }
}

void GraphSnapshots::save(std::span<const std::shared_ptr<Partition>> partitions, double share) {
  if (folder_.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Partition>& partition : partitions) {
    if (!is_due(*partition, share)) continue;
    const Saved now{partition->graph(), partition->graph_changes()};
    const auto written = write(*partition, now.graph);
    if (written)
      saved_[partition->key()] = now;
    else
      base::log_warning("{} is not written: {}", path_of(*partition), written.error().message);
    const std::lock_guard stats_lock(stats_mutex_);
    ++(written ? stats_.saved : stats_.failed);
  }
  remove_others(partitions);
}

/// Of partitions that are small or gone now.
void GraphSnapshots::remove_others(std::span<const std::shared_ptr<Partition>> partitions) {
  std::set<std::string> wanted;
  for (const std::shared_ptr<Partition>& partition : partitions)
    if (partition->graph() != 0) wanted.insert(fs::path(path_of(*partition)).filename().string());
  std::error_code error;
  for (fs::directory_iterator each(folder_, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    std::error_code ignored;
    if (name.ends_with(kSuffix) && !wanted.contains(name)) fs::remove(each->path(), ignored);
  }
  std::erase_if(saved_, [&](const auto& one) { return !wanted.contains(one.first.hex() + kSuffix); });
}

GraphSnapshotStats GraphSnapshots::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

}  // namespace enhanced_gptcache::cache
