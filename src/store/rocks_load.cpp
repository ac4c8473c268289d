// The directory and the entries are both sorted by key, so one pass over both finds every entry that is
// listed, listed and missing, or there and not listed. The keys are hashes: 256 ranges by first byte are
// equal shares of work. Where a range of entries cannot be read on, its listed keys are asked for one by one,
// and those that are not found that way in each table file by itself: a damaged block of a newer file hides
// what older ones have under keys between its first and its last. What has the id that is listed is what is
// current.

#include "store/rocks_load.h"

#include <fmt/format.h>
#include <rocksdb/sst_file_reader.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "store/rocks_salvage.h"

namespace enhanced_gptcache::store {
namespace {

constexpr int kRanges = 256;
constexpr uint64_t kNamedMax = 1000;  // log lines about single entries

rocksdb::ReadOptions read_options(const std::string& end, const rocksdb::Slice& end_slice) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 1 << 20;
  if (!end.empty()) options.iterate_upper_bound = &end_slice;
  return options;
}

bool is_keystore_whole(const EntrySealer* sealer) {
  const vault::SubjectKeys* subjects = sealer == nullptr ? nullptr : sealer->vault().subjects();
  return subjects == nullptr || subjects->damaged() == 0;
}

class Loader {
 public:
  Loader(RocksDb& from, const EntrySealer* sealer, const EntryTable::Take& take, KeySet doubtful,
         bool is_blind)
      : from_(from),
        sealer_(sealer),
        is_keystore_whole_(is_keystore_whole(sealer)),
        take_(take),
        doubtful_(std::move(doubtful)),
        is_blind_(is_blind) {}

  LoadReport load(size_t threads) {
    std::vector<std::thread> others;
    for (size_t i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
    work();
    for (std::thread& thread : others) thread.join();
    for (const LostChange& change : from_.lost) lost(change);
    search_files();
    clean();
    return report_;
  }

 private:
  /// Listed, and not to be had where it should be.
  struct Hidden {
    std::string key, id, why;
  };
  struct Range {
    std::unique_ptr<rocksdb::Iterator> listed, stored;
  };

  void work() {
    for (int first = next_++; first < kRanges; first = next_++) load_range(first);
  }

  void load_range(int first) {
    const std::string begin(1, static_cast<char>(first));
    const std::string end = first + 1 < kRanges ? std::string(1, static_cast<char>(first + 1)) : "";
    const rocksdb::Slice end_slice(end);
    const rocksdb::ReadOptions options = read_options(end, end_slice);
    Range range{std::unique_ptr<rocksdb::Iterator>(from_.db->NewIterator(options, from_.directory)),
                std::unique_ptr<rocksdb::Iterator>(from_.db->NewIterator(options, from_.entries))};
    range.listed->Seek(begin);
    range.stored->Seek(begin);
    for (; range.listed->Valid(); range.listed->Next()) {
      const rocksdb::Slice key = range.listed->key();
      while (range.stored->Valid() && range.stored->key().compare(key) < 0) {
        stray(range.stored->key());
        range.stored->Next();
      }
      if (range.stored->Valid() && range.stored->key() == key) {
        take_one(key, range.listed->value(), range.stored->value());
        range.stored->Next();
      } else if (range.stored->status().ok()) {
        damaged(key, range.listed->value(), "its bytes are missing");
      } else {
        fetch_one(options, key, range.listed->value());
      }
    }
    finish(range);
  }

  /// What is left of the entries is listed nowhere, or the list cannot be read on.
  void finish(Range& range) {
    const bool is_list_whole = range.listed->status().ok();
    if (!is_list_whole) unreadable("directory", range.listed->status());
    for (; range.stored->Valid(); range.stored->Next()) {
      if (is_list_whole)
        stray(range.stored->key());
      else
        damaged(range.stored->key(), {}, "the directory that lists it cannot be read");
    }
    if (!range.stored->status().ok()) unreadable("entries", range.stored->status());
  }

  void fetch_one(const rocksdb::ReadOptions& options, const rocksdb::Slice& key, const rocksdb::Slice& id) {
    std::string bytes;
    const rocksdb::Status status = from_.db->Get(options, from_.entries, key, &bytes);
    if (status.ok()) return take_one(key, id, bytes);
    if (status.IsNotFound()) return damaged(key, id, "its bytes are missing");
    const std::lock_guard lock(mutex_);
    hidden_.push_back({key.ToString(), id.ToString(), status.ToString()});
  }

  /// On one thread, after all others.
  void search_files() {
    if (hidden_.empty()) return;
    std::vector<std::unique_ptr<rocksdb::SstFileReader>> readers;
    std::vector<std::unique_ptr<rocksdb::Iterator>> files;
    std::vector<rocksdb::LiveFileMetaData> live;
    from_.db->GetLiveFilesMetaData(&live);
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    for (const rocksdb::LiveFileMetaData& file : live) {
      if (file.column_family_name != from_.entries->GetName()) continue;
      readers.push_back(std::make_unique<rocksdb::SstFileReader>(rocksdb::Options()));
      if (readers.back()->Open(file.db_path + file.name).ok())
        files.emplace_back(readers.back()->NewIterator(options));
    }
    for (const Hidden& one : hidden_)
      if (!take_from(files, one)) damaged(one.key, one.id, one.why);
  }

  bool take_from(const std::vector<std::unique_ptr<rocksdb::Iterator>>& files, const Hidden& wanted) {
    for (const std::unique_ptr<rocksdb::Iterator>& file : files) {
      file->Seek(wanted.key);
      if (!file->Valid() || file->key() != wanted.key || !is_current(wanted, file->value())) continue;
      take_one(wanted.key, wanted.id, file->value());
      return true;
    }
    return false;
  }

  /// The bytes of an older entry of the same key name another id, or open under another.
  bool is_current(const Hidden& wanted, const rocksdb::Slice& bytes) const {
    if (wanted.key.size() != sizeof(base::Hash128) || wanted.id.size() != sizeof(base::Hash128)) return false;
    EntryBytes plain;
    std::string_view shown = bytes.ToStringView();
    const base::Hash128 id = key_of(wanted.id);
    if (sealer_ != nullptr) {
      // A destroyed key says nothing about the id, and take_one() notes it.
      const vault::Opened opened = sealer_->open(key_of(wanted.key), id, shown, plain);
      if (opened != vault::Opened::kYes) return opened == vault::Opened::kKeyDestroyed;
      shown = plain.view();
    }
    const auto view = EntryView::parse(shown);
    return view && view->text(EntryText::kId) == id.hex();
  }

  /// Nothing is lost that was replaced or removed later.
  void lost(const LostChange& change) {
    const std::string key = key_bytes(change.key);
    std::string id;
    if (from_.db->Get({}, from_.directory, key, &id).ok()) return;
    const bool is_id_known = change.id != base::Hash128{};
    damaged(key, is_id_known ? key_bytes(change.id) : std::string(),
            "the record of the write-ahead log that stored it is damaged");
  }

  void take_one(const rocksdb::Slice& key, const rocksdb::Slice& id, const rocksdb::Slice& bytes) {
    if (key.size() != sizeof(base::Hash128) || id.size() != sizeof(base::Hash128))
      return damaged(key, id, "its key or id has another length");
    const base::Hash128 key_hash = key_of(key.ToStringView());
    const base::Hash128 id_hash = key_of(id.ToStringView());
    EntryBytes copy;
    if (!open(key, id, bytes.ToStringView(), copy)) return;
    const auto view = EntryView::parse(copy.view());
    if (!view) return damaged(key, id, view.error().message);
    if (view->exact_key() != key_hash || view->text(EntryText::kId) != id_hash.hex())
      return damaged(key, id, "its bytes are of another entry");
    if (is_blind_ || doubtful_.contains(key_hash))
      return damaged(key, id, "the write-ahead log lost records that may have changed it");
    entries_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(copy.size, std::memory_order_relaxed);
    if (sealer_ != nullptr && !sealer_->vault().is_current(bytes.ToStringView()))
      to_reseal_.fetch_add(1, std::memory_order_relaxed);
    take_(std::move(copy), key_hash, id_hash);
  }

  /// False: it is none that can be read, and that is noted.
  bool open(const rocksdb::Slice& key, const rocksdb::Slice& id, std::string_view stored, EntryBytes& into) {
    if (sealer_ == nullptr) {
      into = {std::make_unique<char[]>(stored.size()), stored.size()};
      std::memcpy(into.data.get(), stored.data(), stored.size());
      return true;
    }
    const vault::Opened opened =
        sealer_->open(key_of(key.ToStringView()), key_of(id.ToStringView()), stored, into);
    if (opened == vault::Opened::kYes) return true;
    if (opened == vault::Opened::kKeyDestroyed) {
      keyless_.fetch_add(1, std::memory_order_relaxed);
      // A damaged keystore may have lost the key by accident; a good copy of it brings the entry back.
      if (is_keystore_whole_)
        unwanted(key);
      else
        locked_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    tampered_.fetch_add(1, std::memory_order_relaxed);
    damaged(key, id,
            opened == vault::Opened::kForeignKey ? "it names a master key that never sealed anything here"
                                                 : "it was changed, moved or is not sealed");
    return false;
  }

  void damaged(const rocksdb::Slice& key, const rocksdb::Slice& id, const std::string& why) {
    const std::string name = id.size() == sizeof(base::Hash128) ? key_of(id.ToStringView()).hex() : "?";
    const std::lock_guard lock(mutex_);
    if (++report_.damaged <= kNamedMax) {
      base::log_error("storage: entry {} (key {}) is damaged and left out: {}", name, key.ToString(true),
                      why);
      if (key.size() == sizeof(base::Hash128)) report_.damaged_keys.push_back(key_of(key.ToStringView()));
    }
    if (report_.damaged == kNamedMax) base::log_error("storage: further damaged entries are only counted");
    unwanted_.push_back(key.ToString());
  }

  void unwanted(const rocksdb::Slice& key) {
    const std::lock_guard lock(mutex_);
    unwanted_.push_back(key.ToString());
  }

  void stray(const rocksdb::Slice& key) {
    const std::lock_guard lock(mutex_);
    ++report_.stray;
    unwanted_.push_back(key.ToString());
  }

  void unreadable(const char* what, const rocksdb::Status& status) {
    const std::lock_guard lock(mutex_);
    if (!report_.needs_replacing)
      base::log_error("storage: part of the {} cannot be read, the table will be rebuilt: {}", what,
                      status.ToString());
    report_.needs_replacing = true;
  }

  /// So that the next start finds none of it; pointless where everything is rebuilt.
  void clean() {
    report_.entries = entries_;
    report_.bytes = bytes_;
    report_.tampered = tampered_;
    report_.keyless = keyless_;
    report_.locked = locked_;
    report_.to_reseal = to_reseal_;
    if (report_.needs_replacing || unwanted_.empty()) return;
    rocksdb::WriteBatch batch;
    for (const std::string& key : unwanted_) {
      batch.Delete(from_.entries, key);
      batch.Delete(from_.directory, key);
    }
    if (const rocksdb::Status status = from_.db->Write({}, &batch); !status.ok())
      base::log_warning("storage: damaged entries stay on disk for now: {}", status.ToString());
  }

  RocksDb& from_;
  const EntrySealer* const sealer_;
  const bool is_keystore_whole_;
  const EntryTable::Take& take_;
  const KeySet doubtful_;
  const bool is_blind_;
  std::atomic<int> next_{0};
  std::atomic<uint64_t> entries_{0}, bytes_{0}, tampered_{0}, keyless_{0}, locked_{0}, to_reseal_{0};
  std::mutex mutex_;
  LoadReport report_;                  // guarded by mutex_
  std::vector<std::string> unwanted_;  // guarded by mutex_
  std::vector<Hidden> hidden_;         // guarded by mutex_
};

}  // namespace

Result<LoadReport> load_entries(RocksDb& from, const EntrySealer* sealer, size_t threads,
                                const EntryTable::Take& take) {
  KeySet doubtful;
  bool is_blind = from.is_log_unclear;
  if (!is_blind && !from.damaged_log.empty()) {
    auto found = doubtful_keys(from, from.damaged_log);
    // A damaged log and a damaged directory at once leave nothing to go by.
    is_blind = !found;
    if (found) doubtful = std::move(*found);
  }
  return Loader(from, sealer, take, std::move(doubtful), is_blind).load(std::max<size_t>(1, threads));
}

}  // namespace enhanced_gptcache::store
