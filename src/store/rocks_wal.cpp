#include "store/rocks_wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "store/little_endian.h"
#include "store/rocks_db.h"
#include "store/wal_format.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

/// Of a batch: u64 number of its first change, u32 changes.
constexpr size_t kBatchHeadBytes = 12;
constexpr size_t kKeyBytes = sizeof(base::Hash128);
/// Tag, column family, length of the key.
constexpr size_t kPrefixBytes = 3;
constexpr char kDelete = 4, kPut = 5;  // in a column family
constexpr char kEntries = 1, kDirectory = 2;
constexpr std::array<std::string_view, 6> kMetaKeys = {"schema",    "owner",    "probe",
                                                       "sealed_by", "keystore", "all_sealed"};

/// Removes from the directory what is not there.
constexpr std::string_view kNoChange("\4\2\5probe", 8);

/// A change as it stands in a batch.
struct Op {
  bool is_put = false;
  char family = kEntries;
  base::Hash128 key;
  std::string_view value;  ///< of a put
  std::string_view bytes;  ///< all of it
};

/// Bytes that it took; 0: none is there.
size_t read_varint32(std::string_view in, uint32_t& value) {
  uint64_t read = 0;
  for (size_t i = 0; i < std::min<size_t>(in.size(), 5); ++i) {
    const auto byte = static_cast<unsigned char>(in[i]);
    read |= static_cast<uint64_t>(byte & 0x7FU) << (7 * i);
    if ((byte & 0x80U) != 0) continue;
    value = static_cast<uint32_t>(read);
    return read <= UINT32_MAX ? i + 1 : 0;
  }
  return 0;
}

/// The beginning of a change: what it is and the key, not yet the value.
std::optional<Op> head_at(std::string_view in) {
  if (in.size() < kPrefixBytes + kKeyBytes || (in[0] != kDelete && in[0] != kPut) ||
      (in[1] != kEntries && in[1] != kDirectory) || in[2] != static_cast<char>(kKeyBytes))
    return std::nullopt;
  return Op{in[0] == kPut, in[1], key_of(in.substr(kPrefixBytes)), {}, {}};
}

/// With one bit flipped at most.
bool is_nearly_prefix(std::string_view in) {
  int least = 8;
  for (const char tag : {kDelete, kPut})
    for (const char family : {kEntries, kDirectory}) {
      const auto flipped = [](char a, char b) { return std::popcount(static_cast<unsigned char>(a ^ b)); };
      least = std::min(
          least, flipped(in[0], tag) + flipped(in[1], family) + flipped(in[2], static_cast<char>(kKeyBytes)));
    }
  return least <= 1;
}

/// Changes of the family `default` and of keys that are none of entries, which RocksTable writes now and
/// then.
bool is_meta_at(std::string_view in) {
  const bool is_default = in.size() > 2 && (in[0] == 0 || in[0] == 1);
  const bool is_probe = in.size() > 3 && in[0] == kDelete && (in[1] == kEntries || in[1] == kDirectory);
  if (!is_default && !is_probe) return false;
  in.remove_prefix(is_default ? 1 : 2);
  return std::any_of(kMetaKeys.begin(), kMetaKeys.end(), [&](std::string_view name) {
    return static_cast<size_t>(in[0]) == name.size() && in.substr(1).starts_with(name);
  });
}

/// A whole change, followed by another or by the end: else its length may be what was damaged.
std::optional<Op> op_at(std::string_view in) {
  auto op = head_at(in);
  if (!op) return op;
  size_t end = kPrefixBytes + kKeyBytes;
  if (op->is_put) {
    uint32_t length = 0;
    const size_t bytes = read_varint32(in.substr(end), length);
    if (bytes == 0 || length > in.size() - end - bytes) return std::nullopt;
    if (op->family == kDirectory && length != kKeyBytes) return std::nullopt;
    op->value = in.substr(end + bytes, length);
    end += bytes + length;
  }
  op->bytes = in.substr(0, end);
  const std::string_view rest = in.substr(end);
  if (!rest.empty() && !head_at(rest) && !is_meta_at(rest)) return std::nullopt;
  return op;
}

/// What is known of the changes of one key in a damaged batch.
struct KeyChanges {
  size_t in_entries = 0, in_directory = 0;  ///< that can be read whole
  size_t listed = 0;                        ///< of the latter those that name an id
  bool has_broken = false;                  ///< others cannot
  bool has_put = false;
  base::Hash128 id;
  bool is_whole() const { return !has_broken && in_entries == in_directory; }
};

/// A damaged batch, read as far as it goes.
class DamagedBatch {
 public:
  explicit DamagedBatch(std::string_view payload) : payload_(payload) {
    size_t at = std::min(kBatchHeadBytes, payload.size());
    while (at < payload.size()) {
      const std::string_view rest = payload.substr(at);
      if (const auto op = op_at(rest)) {
        add(*op);
        at += op->bytes.size();
        continue;
      }
      if (const auto head = head_at(rest)) {
        KeyChanges& changes = keys_[head->key];
        changes.has_broken = true;
        changes.has_put = changes.has_put || head->is_put;
      }
      metas_ += is_meta_at(rest) ? 1 : 0;
      ++at;
    }
  }

  /// Changes of which it is known what they were of. Of a key that was hit as often as its bytes are there
  /// (one with a flipped bit is another key, and not its twin), or both where it is listed with an id: no
  /// single damaged place changes that key and its twin, which an entry's bytes lie between.
  uint64_t accounted() const {
    uint64_t count = metas_;
    for (const auto& [key, changes] : keys_)
      count += changes.is_whole() ? changes.in_entries + changes.in_directory
                                  : std::max<uint64_t>(mentions_of(key), 2 * changes.listed);
    return count;
  }

  /// A batch without what was damaged: of a key that was hit only the removal from the directory, without
  /// which nothing of it counts. Numbers of changes that are missing are used up, so that the table comes as
  /// far as it was marked.
  std::string rebuild(uint64_t first, uint64_t changes_wanted, std::vector<LostChange>& lost) const {
    std::string ops;
    uint32_t count = 0;
    for (const Op& op : ops_) {
      if (!keys_.at(op.key).is_whole()) continue;
      ops += op.bytes;
      ++count;
    }
    for (const auto& [key, changes] : keys_) {
      if (changes.is_whole()) continue;
      ops += {kDelete, kDirectory, static_cast<char>(kKeyBytes)};
      ops += key_bytes(key);
      ++count;
      if (changes.has_put) lost.push_back({key, changes.id});
    }
    for (; count < changes_wanted; ++count) ops += kNoChange;
    if (count == 0) return {};
    std::string batch(kBatchHeadBytes, '\0');
    put(batch.data(), first);
    put(batch.data() + sizeof first, count);
    return batch + ops;
  }

 private:
  /// At the head of a change, or what would be one but for a bit: bytes that were wiped out repeat anything.
  uint64_t mentions_of(const base::Hash128& key) const {
    const std::string bytes = key_bytes(key);
    uint64_t count = 0;
    for (size_t at = payload_.find(bytes); at != std::string_view::npos; at = payload_.find(bytes, at + 1))
      count += at >= kBatchHeadBytes + kPrefixBytes && is_nearly_prefix(payload_.substr(at - kPrefixBytes))
                   ? 1
                   : 0;
    return count;
  }

  void add(const Op& op) {
    KeyChanges& changes = keys_[op.key];
    ++(op.family == kEntries ? changes.in_entries : changes.in_directory);
    changes.has_put = changes.has_put || op.is_put;
    if (op.is_put && op.family == kDirectory) {
      changes.id = key_of(op.value);
      ++changes.listed;
    }
    ops_.push_back(op);
  }

  const std::string_view payload_;
  std::vector<Op> ops_;
  std::map<base::Hash128, KeyChanges> keys_;
  uint64_t metas_ = 0;
};

struct Log {
  std::string path;
  uint64_t number = 0;
  std::vector<WalRecord> records;
  std::string torn;
};

/// In the order they were written.
std::vector<Log> read_logs_of(const std::string& folder) {
  std::vector<Log> logs;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    if (file->path().extension() != ".log") continue;
    Log log{file->path().string(), 0, {}, {}};
    const std::string stem = file->path().stem().string();
    std::from_chars(stem.data(), stem.data() + stem.size(), log.number);
    std::ifstream in(log.path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    WalContent content = read_wal(bytes);
    log.records = std::move(content.records);
    log.torn = std::move(content.torn);
    logs.push_back(std::move(log));
  }
  std::sort(logs.begin(), logs.end(), [](const Log& a, const Log& b) { return a.number < b.number; });
  return logs;
}

bool has_damage(const Log& log) {
  return std::any_of(log.records.begin(), log.records.end(),
                     [](const WalRecord& record) { return record.is_damaged; });
}

struct Numbers {
  uint64_t first = 0, count = 0;
};

uint64_t last_of(const Numbers& numbers) { return numbers.first + numbers.count - 1; }

Numbers numbers_of(const WalRecord& record) {
  if (record.payload.size() < kBatchHeadBytes) return {};
  return {get<uint64_t>(record.payload.data()), get<uint32_t>(record.payload.data() + sizeof(uint64_t))};
}

/// Puts the records of all logs right, in order.
class Mender {
 public:
  Mender(std::vector<Log>& logs, uint64_t synced) : synced_(synced) {
    for (Log& log : logs)
      for (WalRecord& record : log.records) records_.push_back(&record);
  }

  /// False: a change is missing and it is not known of which key.
  bool mend(MendedLogs& into) {
    for (size_t i = 0; i < records_.size(); ++i) {
      WalRecord& record = *records_[i];
      if (!record.is_damaged) {
        reached_ = last_of(numbers_of(record));
        continue;
      }
      ++into.damaged_records;
      const DamagedBatch batch(record.payload);
      const Numbers numbers = place_of(i, batch);
      if (numbers.first == 0 || numbers.count > batch.accounted()) return reached_ >= synced_ && drop_from(i);
      record.payload = batch.rebuild(numbers.first, numbers.count, into.lost);
      reached_ = last_of(numbers);
    }
    return true;
  }

 private:
  /// What stood in a damaged record, by its neighbours and the mark, which are to be believed before its own
  /// head.
  Numbers place_of(size_t i, const DamagedBatch& batch) const {
    const Numbers claimed = numbers_of(*records_[i]);
    const bool is_last = i + 1 == records_.size();
    const bool is_next_whole = !is_last && !records_[i + 1]->is_damaged;
    const uint64_t next = is_next_whole ? numbers_of(*records_[i + 1]).first : 0;
    Numbers place{reached_ > 0 ? reached_ + 1 : claimed.first, claimed.count};
    if (reached_ == 0 && is_next_whole && claimed.count <= batch.accounted())
      place.first = next - claimed.count;
    if (is_next_whole) place.count = next - place.first;
    const uint64_t marked = synced_ < place.first ? 0 : synced_ - place.first + 1;
    if (is_last && (marked > place.count || place.count > batch.accounted())) place.count = marked;
    return place;
  }

  /// What no sync has promised may end before it: that is what a loss of power leaves.
  bool drop_from(size_t i) {
    for (; i < records_.size(); ++i) *records_[i] = {{}, true};
    return true;
  }

  const uint64_t synced_;
  std::vector<WalRecord*> records_;
  uint64_t reached_ = 0;  // the number of the last change so far; 0: none
};

/// A log that ends within a record is what a kill leaves behind, unless it had come further.
void take_torn_end(std::vector<Log>& logs, uint64_t synced) {
  if (logs.empty() || logs.back().torn.empty()) return;
  Log& last = logs.back();
  uint64_t reached = 0;
  for (const Log& log : logs)
    for (const WalRecord& record : log.records) reached = std::max(reached, last_of(numbers_of(record)));
  if (reached < synced) last.records.push_back({std::exchange(last.torn, {}), true});
}

bool rewrite(Log& log) {
  std::erase_if(log.records, [](const WalRecord& record) { return record.payload.empty(); });
  const std::string fresh = log.path + ".new";
  std::error_code error;
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    const std::string bytes = write_wal(log.records);
    if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())) || !out.flush()) {
      out.close();
      fs::remove(fresh, error);
      return false;
    }
  }
  fs::rename(fresh, log.path, error);
  return !error;
}

}  // namespace

MendedLogs mend_logs(const std::string& folder, uint64_t synced) {
  std::vector<Log> logs = read_logs_of(folder);
  take_torn_end(logs, synced);
  if (std::none_of(logs.begin(), logs.end(), has_damage)) return {};
  // Only the last one may end within a record.
  for (size_t i = 0; i + 1 < logs.size(); ++i)
    if (!logs[i].torn.empty()) return {};
  MendedLogs mended;
  if (!Mender(logs, synced).mend(mended)) {
    mended = {};
    mended.is_unclear = true;
    return mended;
  }
  for (Log& log : logs)
    if (has_damage(log) && !rewrite(log)) return {};
  base::log_warning("storage: {} records of the write-ahead log are damaged, {} entries of them are lost",
                    mended.damaged_records, mended.lost.size());
  return mended;
}

}  // namespace enhanced_gptcache::store
