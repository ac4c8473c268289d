// The graphs of large partitions while serving: building those that a start found no snapshot for, and
// saving.

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {
namespace {

/// A store into the same partition waits for at most so many: about a millisecond.
constexpr size_t kMovedAtOnce = 4;
constexpr int64_t kSaveIntervalUs = 600'000'000;
/// A snapshot with so much missing costs a start little: the rest waits in the exact tier.
constexpr double kSaveShare = 0.02;
/// Behind everything that answers requests.
constexpr int kNice = 10;

}  // namespace

void CacheImpl::be_gentle() {
  if (std::exchange(building_.is_gentle, true)) return;
  // Of this thread alone, on Linux.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

void CacheImpl::tend_graphs() {
  bool is_built = false;
  while (!building_.is_stopping) {
    std::shared_ptr<Partition> partition;
    {
      const std::lock_guard lock(building_.mutex);
      if (building_.partitions.empty()) break;
      partition = building_.partitions.back();
      if (!partition->settle(kMovedAtOnce)) {
        building_.partitions.pop_back();
        is_built = true;
      }
    }
  }
  const int64_t now_us = clock_.mono_us();
  if (building_.is_stopping || (!is_built && now_us < building_.save_next_us)) return;
  building_.save_next_us = now_us + kSaveIntervalUs;
  save_graphs(kSaveShare);
}

void CacheImpl::save_graphs(double share) {
  if (log_ != nullptr) graphs_.save(entries_.partitions_larger_than(options().graph_from / 4), share);
}

void CacheImpl::describe_graphs(StorageStats& stats) const {
  const GraphSnapshotStats graphs = graphs_.stats();
  stats.graphs_restored = graphs.restored;
  stats.graph_rows_restored = graphs.restored_rows;
  stats.graphs_put_aside = graphs.put_aside;
  stats.graphs_saved = graphs.saved;
  stats.graph_save_errors = graphs.failed;
  stats.graph_problem = graphs.problem;
  const std::lock_guard lock(building_.mutex);
  for (const std::shared_ptr<Partition>& partition : building_.partitions)
    stats.graph_rows_waiting += partition->unsettled();
}

}  // namespace enhanced_gptcache::cache
