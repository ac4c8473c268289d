#include "store/rocks_spare.h"

#include <fmt/format.h>
#include <rocksdb/sst_file_reader.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <sstream>

#include "base/log.h"

namespace enhanced_gptcache::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "EGPTSPARE";
constexpr std::string_view kManifest = "MANIFEST-";
/// A copy that differs in more than one byte of this many is of another table.
constexpr size_t kBytesPerDamage = 8;

struct Spare {
  uint64_t file_bytes = 0;  ///< of a table file; 0: a manifest, which grows
  uint64_t offset = 0;
  std::string bytes;
};

/// It finds damage, not attackers: its key is public.
std::string hash_of(const std::string& name, const Spare& spare) {
  static constexpr base::SecretKey kPublicKey{};
  const std::string place = fmt::format("{} {} {}", name, spare.file_bytes, spare.offset);
  return base::keyed_hash(kPublicKey, "spare", {place, spare.bytes}).hex();
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<std::string> read_part(const std::string& path, uint64_t offset, uint64_t bytes) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  std::string part(bytes, '\0');
  if (!in || !in.read(part.data(), static_cast<std::streamsize>(bytes))) return std::nullopt;
  return part;
}

void write_spare(const std::string& folder, const std::string& name, const Spare& spare) {
  // Two threads may meet the same new file: the one that compacted it and the one that looks for missing
  // ones.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const std::string to = spare_folder(folder) + "/" + name;
  const std::string fresh = to + ".new";
  std::error_code error;
  if (fs::create_directory(spare_folder(folder), error) && !error)
    fs::permissions(spare_folder(folder), fs::perms::owner_all, error);
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << fmt::format("{} 1 {} {} {}\n", kName, spare.file_bytes, spare.offset, hash_of(name, spare));
    out << spare.bytes;
    if (!out.flush()) {
      out.close();
      fs::remove(fresh, error);
      return;
    }
  }
  fs::rename(fresh, to, error);
}

/// None when it is not whole.
std::optional<Spare> read_spare(const std::string& folder, const std::string& name) {
  const std::string content = read_all(spare_folder(folder) + "/" + name);
  const size_t head_end = content.find('\n');
  if (head_end == std::string::npos) return std::nullopt;
  std::istringstream in(content.substr(0, head_end));
  Spare spare;
  std::string magic, hash;
  int version = 0;
  in >> magic >> version >> spare.file_bytes >> spare.offset >> hash;
  spare.bytes = content.substr(head_end + 1);
  if (!in || magic != kName || version != 1 || hash != hash_of(name, spare)) return std::nullopt;
  return spare;
}

void keep_table_file(const std::string& folder, const std::string& name, const std::string& family,
                     uint64_t data_bytes) {
  const std::string path = folder + "/" + name;
  std::error_code error;
  Spare spare;
  spare.file_bytes = fs::file_size(path, error);
  if (error) return;
  spare.offset = family == "entries" ? data_bytes : 0;
  if (spare.offset >= spare.file_bytes) return;
  auto part = read_part(path, spare.offset, spare.file_bytes - spare.offset);
  if (!part) return;
  spare.bytes = std::move(*part);
  write_spare(folder, name, spare);
}

class SpareKeeper final : public rocksdb::EventListener {
 public:
  explicit SpareKeeper(std::string folder) : folder_(std::move(folder)) {}
  void OnTableFileCreated(const rocksdb::TableFileCreationInfo& info) override {
    if (info.status.ok() && info.file_size > 0)
      keep_table_file(folder_, fs::path(info.file_path).filename().string(), info.cf_name,
                      info.table_properties.data_size);
  }
  /// After a crash the number of a file that never came to count is used again.
  void OnTableFileCreationStarted(const rocksdb::TableFileCreationBriefInfo& info) override {
    forget(info.file_path);
  }
  void OnTableFileDeleted(const rocksdb::TableFileDeletionInfo& info) override { forget(info.file_path); }

 private:
  void forget(const std::string& path) const {
    std::error_code ignored;
    fs::remove(spare_folder(folder_) + "/" + fs::path(path).filename().string(), ignored);
  }

  const std::string folder_;
};

/// False: it is not the file that was copied.
bool mend_one(const std::string& folder, const std::string& name, const Spare& spare) {
  const std::string path = folder + "/" + name;
  std::error_code error;
  const uint64_t bytes = fs::file_size(path, error);
  const bool is_size_right = spare.file_bytes == 0 ? bytes >= spare.bytes.size() : bytes == spare.file_bytes;
  if (error || !is_size_right) return false;
  const auto found = read_part(path, spare.offset, spare.bytes.size());
  if (!found) return false;
  size_t different = 0;
  for (size_t i = 0; i < found->size(); ++i) different += (*found)[i] != spare.bytes[i] ? 1 : 0;
  if (different == 0) return true;
  if (different > 1 + spare.bytes.size() / kBytesPerDamage) return false;
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(spare.offset));
  if (!file.write(spare.bytes.data(), static_cast<std::streamsize>(spare.bytes.size())) || !file.flush())
    return false;
  base::log_warning("storage: {} bytes of {} were damaged and are put right from their copy", different,
                    path);
  return true;
}

/// 0: no name of a manifest.
uint64_t manifest_number(std::string_view name) {
  if (!name.starts_with(kManifest)) return 0;
  name.remove_prefix(kManifest.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

/// CURRENT is a line that names a manifest. Only one manifest can be meant when it is damaged: the marked
/// one, or the only one, and in both cases none is newer.
void mend_current(const std::string& folder, const Mark& mark) {
  const std::string path = folder + "/CURRENT";
  std::error_code error;
  if (!fs::exists(path, error)) return;
  std::string newest;
  size_t manifests = 0;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error)) {
    const std::string name = file->path().filename().string();
    const uint64_t number = manifest_number(name);
    manifests += number > 0 ? 1 : 0;
    if (number > manifest_number(newest)) newest = name;
  }
  std::string named = read_all(path);
  const bool is_line = named.ends_with('\n');
  if (is_line) named.pop_back();
  if (is_line && manifest_number(named) > 0 && fs::exists(folder + "/" + named, error) &&
      manifest_number(named) >= manifest_number(mark.manifest))
    return;
  if (newest.empty() || (newest != mark.manifest && (manifests > 1 || !mark.manifest.empty()))) return;
  {
    std::ofstream out(path + ".new", std::ios::binary | std::ios::trunc);
    out << newest << '\n';
    if (!out.flush()) return;
  }
  fs::rename(path + ".new", path, error);
  if (!error) base::log_warning("storage: {} was damaged and names {} again", path, newest);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end; file.increment(error))
    names.push_back(file->path().filename().string());
  return names;
}

}  // namespace

std::string spare_folder(const std::string& folder) { return folder + ".spare"; }

std::shared_ptr<rocksdb::EventListener> make_spare_keeper(const std::string& folder) {
  return std::make_shared<SpareKeeper>(folder);
}

void keep_missing_spares(RocksDb& db, const std::string& folder) {
  drop_dead_spares(folder);
  std::error_code error;
  std::vector<rocksdb::LiveFileMetaData> live;
  db.db->GetLiveFilesMetaData(&live);
  for (const rocksdb::LiveFileMetaData& file : live) {
    const std::string name = fs::path(file.name).filename().string();
    if (fs::exists(spare_folder(folder) + "/" + name, error)) continue;
    rocksdb::SstFileReader reader{rocksdb::Options()};
    if (reader.Open(folder + "/" + name).ok())
      keep_table_file(folder, name, file.column_family_name, reader.GetTableProperties()->data_size);
  }
}

void drop_dead_spares(const std::string& folder) {
  std::error_code error;
  for (const std::string& name : names_in(spare_folder(folder)))
    if (!fs::exists(folder + "/" + name, error)) fs::remove(spare_folder(folder) + "/" + name, error);
}

void keep_manifest_spare(const std::string& folder, const std::string& name, const std::string& content) {
  if (manifest_number(name) == 0 || content.empty()) return;
  write_spare(folder, name, {0, 0, content});
  std::error_code ignored;
  for (const std::string& other : names_in(spare_folder(folder)))
    if (manifest_number(other) > 0 && other != name) fs::remove(spare_folder(folder) + "/" + other, ignored);
}

void mend_from_spares(const std::string& folder, const Mark& mark) {
  mend_current(folder, mark);
  for (const std::string& name : names_in(spare_folder(folder))) {
    const auto spare = read_spare(folder, name);
    if (spare && mend_one(folder, name, *spare)) continue;
    // It is of no use; a file that is still there gets another.
    std::error_code ignored;
    fs::remove(spare_folder(folder) + "/" + name, ignored);
  }
}

void remove_spares(const std::string& folder) {
  std::error_code ignored;
  fs::remove_all(spare_folder(folder), ignored);
}

}  // namespace enhanced_gptcache::store
