#pragma once
// The graphs of large partitions over a restart: one file each in the folder `index` of the state folder,
// written now and then and at the end, read at start. What cannot be used is put aside (its name gets
// `.aside`) and the graph is built anew; no file, and a wrong one, cost time and nothing else.

#include <map>
#include <mutex>
#include <string>

#include "cache/entry_store.h"
#include "cache/graph_file.h"

namespace enhanced_gptcache::cache {

struct GraphSnapshotStats {
  uint64_t restored = 0;       ///< graphs, at start
  uint64_t restored_rows = 0;  ///< entries in them
  uint64_t put_aside = 0;      ///< files that could not be used, at start
  uint64_t saved = 0;
  uint64_t failed = 0;  ///< attempts to write one
  std::string problem;  ///< of the last file put aside; else empty
};

/// Thread rule: any thread; one restores or saves at a time.
class GraphSnapshots {
 public:
  /// `folder` empty: nothing is read or written. Made when missing.
  GraphSnapshots(std::string folder, const base::SecretKey& key, std::string_view model_epoch,
                 size_t dimensions);

  /// Fills the graph of a partition whose entries are all members of it; false: there is nothing to fill it
  /// from. Before anybody searches it.
  bool restore(Partition& partition, const EntryStore& entries, const Partition::VectorOf& vector_of,
               size_t threads);
  /// Writes the graphs of which at least `share` has changed since they were last written, and removes files
  /// of graphs that are no more.
  void save(std::span<const std::shared_ptr<Partition>> partitions, double share);
  GraphSnapshotStats stats() const;

 private:
  struct Saved {
    uint64_t graph = 0, changes = 0;
  };

  std::string path_of(const Partition& partition) const;
  GraphFileHead head_of(const Partition& partition) const;
  Result<void> check(GraphFileReader& file, const Partition& partition, const EntryStore& entries) const;
  Result<size_t> read(const std::string& path, Partition& partition, const EntryStore& entries,
                      const Partition::VectorOf& vector_of, size_t threads);
  void put_aside(const std::string& path, const Error& why);
  bool is_due(const Partition& partition, double share) const;
  Result<void> write(const Partition& partition, uint64_t graph);
  void remove_others(std::span<const std::shared_ptr<Partition>> partitions);

  const std::string folder_;
  const base::SecretKey key_;
  const base::Hash128 model_;
  const size_t dimensions_;
  std::mutex mutex_;                      // one restores or saves at a time
  std::map<base::Hash128, Saved> saved_;  // guarded by mutex_
  mutable std::mutex stats_mutex_;
  GraphSnapshotStats stats_;  // guarded by stats_mutex_
};

}  // namespace enhanced_gptcache::cache
