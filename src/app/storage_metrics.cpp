#include "app/storage_metrics.h"

namespace enhanced_gptcache::app {
namespace {

using metrics::Kind;
using metrics::Sample;

double as_double(uint64_t value) { return static_cast<double>(value); }

}  // namespace

void watch_storage(metrics::Registry& registry, const EnhancedCache& cache) {
  const auto one = [&](const char* name, const char* help, Kind kind, auto field) {
    registry.collector({name, help, {}, 1}, kind, [&cache, field] {
      return std::vector<Sample>{{{}, static_cast<double>(cache.storage_stats().*field)}};
    });
  };
  one("storage_failing", "1 while the disk refuses: entries are served and none is stored.", Kind::kGauge,
      &StorageStats::is_failing);
  one("storage_stored_total", "Entries written.", Kind::kCounter, &StorageStats::stored);
  one("storage_removed_total", "Removals written.", Kind::kCounter, &StorageStats::removed);
  one("storage_written_bytes_total", "Bytes of entries written.", Kind::kCounter,
      &StorageStats::written_bytes);
  one("storage_batches_total", "Writes, each with everything that waited.", Kind::kCounter,
      &StorageStats::batches);
  one("storage_syncs_total", "Calls of fsync on the write-ahead log.", Kind::kCounter, &StorageStats::syncs);
  one("storage_errors_total", "Writes that failed.", Kind::kCounter, &StorageStats::errors);
  one("storage_refused_total", "Entries not stored because the disk refused or was behind.", Kind::kCounter,
      &StorageStats::refused);
  one("storage_keys_refused_total",
      "Entries kept in memory alone: their tenant has all the data keys it may.", Kind::kCounter,
      &StorageStats::keys_refused);
  one("storage_rebuilds_total", "Damaged tables written again from memory.", Kind::kCounter,
      &StorageStats::rebuilds);
  one("storage_queue_changes", "Changes that wait to be written.", Kind::kGauge, &StorageStats::waiting);
  one("storage_queue_bytes", "Bytes of entries that wait to be written.", Kind::kGauge,
      &StorageStats::waiting_bytes);
  one("storage_files", "Files of the table.", Kind::kGauge, &StorageStats::files);
  one("storage_compactions_running", "Compactions of RocksDB under way.", Kind::kGauge,
      &StorageStats::compactions_running);
  one("storage_compaction_pending_bytes", "Bytes RocksDB has yet to compact.", Kind::kGauge,
      &StorageStats::compaction_pending_bytes);
  one("storage_graph_rows_waiting", "Entries that a graph is still being built for.", Kind::kGauge,
      &StorageStats::graph_rows_waiting);
  registry.collector(
      {"storage_graph_snapshots_total", "Snapshots of graphs, by what became of them.", {"outcome"}, 4},
      Kind::kCounter, [&cache] {
        const StorageStats stats = cache.storage_stats();
        return std::vector<Sample>{{{"saved"}, as_double(stats.graphs_saved)},
                                   {{"failed"}, as_double(stats.graph_save_errors)},
                                   {{"restored"}, as_double(stats.graphs_restored)},
                                   {{"put_aside"}, as_double(stats.graphs_put_aside)}};
      });
  registry.collector({"storage_load_seconds", "How long the warm start took.", {}, 1}, Kind::kGauge,
                     [&cache] {
                       return std::vector<Sample>{{{}, as_double(cache.storage_stats().load_ms) / 1000.0}};
                     });
  registry.collector({"storage_bytes", "Bytes by tier.", {"tier"}, 3}, Kind::kGauge, [&cache] {
    const StorageStats stats = cache.storage_stats();
    return std::vector<Sample>{{{"disk"}, as_double(stats.disk_bytes)},
                               {{"write_ahead_log"}, as_double(stats.log_bytes)},
                               {{"engine_memory"}, as_double(stats.engine_memory_bytes)}};
  });
  registry.collector(
      {"storage_loaded_entries", "Entries found at start, by outcome.", {"outcome"}, 7}, Kind::kGauge,
      [&cache] {
        const StorageStats stats = cache.storage_stats();
        return std::vector<Sample>{
            {{"loaded"}, as_double(stats.loaded)},     {{"damaged"}, as_double(stats.damaged)},
            {{"outdated"}, as_double(stats.outdated)}, {{"exact_only"}, as_double(stats.exact_only)},
            {{"tampered"}, as_double(stats.tampered)}, {{"keyless"}, as_double(stats.keyless)},
            {{"erased"}, as_double(stats.erased)}};
      });
}

}  // namespace enhanced_gptcache::app
