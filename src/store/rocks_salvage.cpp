#include "store/rocks_salvage.h"

#include <bitset>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace enhanced_gptcache::store {
namespace {

constexpr size_t kHashBytes = sizeof(base::Hash128);
constexpr size_t kFilterBits = 24;
/// Each change writes its key for the entry and for the directory.
constexpr uint32_t kMentionsOfOneChange = 2;

/// How often each of a set of hashes stands in some bytes, at any offset.
class Mentions {
 public:
  void expect(const base::Hash128& hash) {
    counts_.try_emplace(hash, 0);
    filter_.set(filter_place(key_bytes(hash).data()));
  }
  void count_in(const std::string& bytes) {
    for (size_t at = 0; at + kHashBytes <= bytes.size(); ++at) {
      if (!filter_.test(filter_place(bytes.data() + at))) continue;
      const auto found = counts_.find(key_of({bytes.data() + at, kHashBytes}));
      if (found != counts_.end()) ++found->second;
    }
  }
  uint32_t of(const base::Hash128& hash) const { return counts_.at(hash); }

 private:
  static size_t filter_place(const char* bytes) {
    uint32_t start = 0;
    std::memcpy(&start, bytes, sizeof start);
    return start & ((1U << kFilterBits) - 1);
  }
  std::unordered_map<base::Hash128, uint32_t, base::Hash128Hasher> counts_;
  std::bitset<size_t{1} << kFilterBits> filter_;
};

struct Listed {
  base::Hash128 key, id;
};

}  // namespace

std::string read_logs(const std::string& folder) {
  std::string bytes;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    if (file.path().extension() != ".log") continue;
    std::ifstream in(file.path(), std::ios::binary);
    bytes.append(std::istreambuf_iterator<char>(in), {});
  }
  return bytes;
}

Result<KeySet> doubtful_keys(RocksDb& from, const std::string& log) {
  std::vector<Listed> all;
  const auto mentions = std::make_unique<Mentions>();
  const std::unique_ptr<rocksdb::Iterator> each(from.db->NewIterator({}, from.directory));
  for (each->SeekToFirst(); each->Valid(); each->Next()) {
    if (each->key().size() != kHashBytes || each->value().size() != kHashBytes) continue;
    const Listed one{key_of(each->key().ToStringView()), key_of(each->value().ToStringView())};
    mentions->expect(one.key);
    mentions->expect(one.id);
    all.push_back(one);
  }
  if (!each->status().ok()) return fail(error_of(each->status()));
  mentions->count_in(log);
  KeySet doubtful;
  for (const Listed& one : all) {
    const uint32_t changes = mentions->of(one.key);
    if (changes == 0) continue;
    if (changes != kMentionsOfOneChange || mentions->of(one.id) == 0) doubtful.insert(one.key);
  }
  return doubtful;
}

}  // namespace enhanced_gptcache::store
