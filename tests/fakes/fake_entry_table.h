#pragma once
// An EntryTable in memory that keeps what a disk would keep, and fails when a test says so. Several tables
// can share one FakeDisk: the second one sees what the first one left, as after a restart.

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "store/entry_table.h"

namespace enhanced_gptcache::fakes {

/// Thread rule: any thread.
struct FakeDisk {
  struct Row {
    base::Hash128 id;
    std::string bytes;
  };
  mutable std::mutex mutex;
  std::map<base::Hash128, Row> rows;     ///< guarded by mutex
  std::atomic<bool> is_full{false};      ///< writes and syncs fail with kIo
  std::atomic<bool> is_damaged{false};   ///< writes fail with kCorrupt until replace()
  std::atomic<bool> keeps_error{false};  ///< everything fails with kIo until recover(), as RocksDB does
  std::atomic<int> recoveries{0};
  std::atomic<int> writes{0}, syncs{0}, settles{0}, replacements{0}, largest_batch{0}, purges{0};

  size_t size() const {
    const std::lock_guard lock(mutex);
    return rows.size();
  }
};

class FakeEntryTable final : public store::EntryTable {
 public:
  explicit FakeEntryTable(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)) {}

  Result<void> write(std::span<const store::EntryChange> changes, bool is_synced) override {
    EGPTC_TRY_VOID(check());
    const std::lock_guard lock(disk_->mutex);
    for (const store::EntryChange& change : changes) {
      if (change.is_removal())
        disk_->rows.erase(change.key);
      else
        disk_->rows[change.key] = {change.id, std::string(change.bytes)};
    }
    ++disk_->writes;
    disk_->largest_batch = std::max<int>(disk_->largest_batch, static_cast<int>(changes.size()));
    if (is_synced) ++disk_->syncs;
    return {};
  }
  Result<void> sync() override {
    EGPTC_TRY_VOID(check());
    ++disk_->syncs;
    return {};
  }
  Result<void> settle() override {
    ++disk_->settles;
    return check();
  }
  Result<void> recover() override {
    ++disk_->recoveries;
    disk_->keeps_error = false;
    return check();
  }
  Result<void> replace() override {
    if (disk_->is_full) return check();
    const std::lock_guard lock(disk_->mutex);
    disk_->rows.clear();
    disk_->is_damaged = false;
    ++disk_->replacements;
    return {};
  }
  Result<store::LoadReport> load(size_t, const Take& take) override {
    const std::lock_guard lock(disk_->mutex);
    store::LoadReport report;
    for (const auto& [key, row] : disk_->rows) {
      if (!store::EntryView::parse(row.bytes)) {
        ++report.damaged;
        continue;
      }
      store::EntryBytes bytes{std::make_unique<char[]>(row.bytes.size()), row.bytes.size()};
      std::copy(row.bytes.begin(), row.bytes.end(), bytes.data.get());
      ++report.entries;
      report.bytes += row.bytes.size();
      take(std::move(bytes), key, row.id);
    }
    return report;
  }
  Result<void> checkpoint(const std::string&) override {
    return fail(ErrorCode::kUnsupported, "the fake has no files");
  }
  Result<void> purge(std::span<const base::Hash128>) override {
    ++disk_->purges;
    return check();
  }
  Result<void> finish_reseal(const base::Hash128&) override { return check(); }
  std::vector<base::Hash128> seal_keys() const override { return {}; }
  void clear_quarantine() override {}
  store::TableStats stats() const override { return {}; }

 private:
  Result<void> check() const {
    if (disk_->is_full) return fail(ErrorCode::kIo, "no space left on the fake disk");
    if (disk_->keeps_error) return fail(ErrorCode::kIo, "the fake disk was full once");
    if (disk_->is_damaged) return fail(ErrorCode::kCorrupt, "the fake disk is damaged");
    return {};
  }

  const std::shared_ptr<FakeDisk> disk_;
};

}  // namespace enhanced_gptcache::fakes
