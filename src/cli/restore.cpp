#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "app/storage_folder.h"
#include "app/vault_parts.h"
#include "backup/backup.h"
#include "base/small_file.h"
#include "cli/backup_commands.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "security/instance_key.h"

namespace enhanced_gptcache::cli {
namespace {

namespace fs = std::filesystem;

/// The file format ends there: 2^26 slots of 256 bytes.
constexpr size_t kKeystoreBytesMax = size_t{1} << 34U;

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return 1;
}

/// Where a backup's parts go.
struct Places {
  std::string config, models, data, logs, kept, staging;
};

Places places_of(const RestoreArguments& wanted, const std::string& timestamp) {
  const auto chosen = [&](const std::string& given, const char* below) {
    return given.empty() ? wanted.root + "/" + below : given;
  };
  return {wanted.config,
          chosen(wanted.models, "models"),
          chosen(wanted.data, "data/cache"),
          chosen(wanted.logs, "logs"),
          wanted.root + "/before_restore_" + timestamp,
          wanted.root + "/.restore_" + timestamp};
}

/// The settings of the backup must be ones this program can start with; without any in it, those of the
/// caller.
Result<std::shared_ptr<const config::Loaded>> check_config(const Common& common, const std::string& path) {
  config::LoadRequest request = common.load;
  if (!path.empty()) request.path = path;
  return config::load_or_error(request);
}

/// What is to be put in place, while it is still aside.
struct Staged {
  config::Settings settings;  ///< with the staged folders
  std::string data;
  std::string live_keystore;  ///< where the keystore is that goes on
  bool keystore_is_inside = true;
};

Staged stage(const config::Settings& settings, const Places& places) {
  Staged staged{settings, places.staging + "/cache", settings.storage.keystore_path, false};
  staged.keystore_is_inside = staged.live_keystore.empty();
  if (staged.keystore_is_inside) staged.live_keystore = places.data + "/keystore";
  staged.settings.storage.keystore_path = places.staging + "/keystore";
  return staged;
}

/// The keystore and the ledger go on from what they are now, not from what they were when the backup was
/// made.
Result<void> copy_keystore(const Staged& staged) {
  std::error_code error;
  const std::string& to = staged.settings.storage.keystore_path;
  if (fs::is_directory(staged.live_keystore, error)) {
    fs::copy(staged.live_keystore, to, fs::copy_options::recursive, error);
    if (!error) fs::remove(to + "/" + app::kLockName, error);
  } else {
    fs::create_directories(to, error);
  }
  if (!error) fs::permissions(to, fs::perms::owner_all, error);
  if (!error) return {};
  return fail(ErrorCode::kIo, fmt::format("{} cannot be copied: {}", staged.live_keystore, error.message()));
}

Result<void> merge_ledger(vault::ErasureLedger& into, const std::string& path) {
  if (path.empty() || !fs::exists(path)) return {};
  EGPTC_TRY(const auto other, vault::ErasureLedger::open(path, into.instance_key()));
  if (other->damaged() > 0)
    return fail(ErrorCode::kCorrupt, path + " is damaged: what it erased would come back; bring a good copy");
  return into.merge(*other);
}

Result<app::VaultParts> open_parts(const Staged& staged, const RestoreArguments& wanted) {
  const std::string& named = staged.settings.security.instance_key_file;
  const std::string key = named.empty() ? security::instance_key_path(staged.data) : named;
  if (!fs::exists(key))
    return fail(ErrorCode::kNotFound,
                fmt::format("the backup holds entries but their instance key {} is missing: put it into its "
                            "place and restore again",
                            key));
  EGPTC_TRY_VOID(copy_keystore(staged));
  auto parts = app::open_vault_parts(staged.settings, staged.data);
  if (!parts) return fail(std::move(parts).error());
  if (parts->erasures->damaged() > 0)
    return fail(
        ErrorCode::kCorrupt,
        fmt::format("the erasure ledger in {} is damaged: what it erased would come back; bring a good "
                    "copy (--ledger) and move this one away",
                    staged.live_keystore));
  EGPTC_TRY_VOID(merge_ledger(*parts->erasures, staged.data + "/erasures.ledger"));
  EGPTC_TRY_VOID(merge_ledger(*parts->erasures, wanted.ledger));
  if (!parts->erasures->empty()) EGPTC_TRY_VOID(parts->erasures->note_restore());
  return parts;
}

/// Every entry is read before anything is replaced, and what was erased since is taken out; what is left.
Result<StorageStats> check_entries(const Staged& staged, const RestoreArguments& wanted) {
  if (!fs::is_directory(staged.data + "/entries")) return StorageStats{};
  EGPTC_TRY(const app::VaultParts parts, open_parts(staged, wanted));
  Options options;
  options.storage.path = staged.data;
  options.state_folder = staged.data;
  options.bytes_max = size_t{1} << 40U;
  options.storage.bytes_max = options.bytes_max;
  options.storage.vault = parts.vault;
  options.storage.erasures = parts.erasures;
  options.storage.accepts_other_keystore = true;
  options.key_bytes.assign(parts.instance_key.begin(), parts.instance_key.end());
  EGPTC_TRY(const auto cache, EnhancedCache::open(options, nullptr));
  StorageStats stats = cache->storage_stats();
  if (!stats.problem.empty()) return fail(ErrorCode::kCorrupt, "the entries of the backup: " + stats.problem);
  if (!parts.erasures->pending().empty())
    return fail(ErrorCode::kIo, "what was erased could not be taken out of the backup");
  return stats;
}

/// Each file as a whole, so that a crash leaves the old one or the new one.
Result<void> copy_into(const std::string& from, const std::string& live) {
  std::error_code error;
  const bool existed = fs::is_directory(live, error);
  fs::create_directories(live, error);
  if (!existed && !error) fs::permissions(live, fs::perms::owner_all, error);
  fs::directory_iterator file(from, error);
  for (const fs::directory_iterator end; !error && file != end; file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (!file->is_regular_file(error) || name == app::kLockName) continue;
    EGPTC_TRY(const std::string bytes, base::read_private_file(file->path().string(), kKeystoreBytesMax));
    EGPTC_TRY_VOID(base::replace_file(live + "/" + name, bytes));
  }
  if (!error) return {};
  return fail(ErrorCode::kIo, fmt::format("{}: {}", live, error.message()));
}

/// What restore has unpacked and not put in place is removed at the end, however it ends; but what is the
/// only copy is kept.
struct Staging {
  std::string path;
  bool is_kept = false;
  ~Staging() {
    std::error_code ignored;
    if (!is_kept) fs::remove_all(path, ignored);
  }
};

/// The ledger that was completed, and the keystore where it lies inside the data, go with the data.
Result<void> place_keystore(const Staged& staged, Staging& staging) {
  const std::string& from = staged.settings.storage.keystore_path;
  std::error_code error;
  fs::remove(staged.data + "/erasures.ledger", error);
  if (!fs::is_directory(from)) return {};
  if (staged.keystore_is_inside) {
    fs::remove(from + "/" + app::kLockName, error);
    fs::rename(from, staged.data + "/keystore", error);
    if (!error) return {};
    return fail(ErrorCode::kIo, fmt::format("{}: {}", staged.live_keystore, error.message()));
  }
  auto placed = copy_into(from, staged.live_keystore);
  if (placed) return {};
  staging.is_kept = true;
  return fail(placed.error().code,
              fmt::format("{}; the keystore that belongs to the backup stays in {}: copy its files to {} and "
                          "restore again",
                          placed.error().message, from, staged.live_keystore));
}

std::vector<backup::Replacement> replacements_of(const Places& places, const backup::Metadata& metadata) {
  std::vector<backup::Replacement> all;
  const auto add = [&](const std::string& name, const std::string& to) {
    const std::string from = places.staging + "/" + name;
    if (fs::exists(from)) all.push_back({from, to, places.kept + "/" + name});
  };
  if (!metadata.config_name.empty()) add(metadata.config_name, places.config);
  add("configs", (fs::path(places.config).parent_path() / "configs").string());
  add("models", places.models);
  add("cache", places.data);
  add("logs", places.logs);
  return all;
}

/// Nobody may run on what is replaced: the data folder, and the keystore where it lies apart. Null: there is
/// no such folder, and `makes_it` is false.
Result<std::unique_ptr<app::StorageFolder>> lock_folder(const std::string& path, bool makes_it,
                                                        const char* name) {
  if (!makes_it && !fs::is_directory(path)) return std::unique_ptr<app::StorageFolder>();
  return app::StorageFolder::open(path, name);
}

Result<int> run(const Common& common, const RestoreArguments& wanted) {
  Places places = places_of(wanted, backup::timestamp_now());
  std::error_code error;
  fs::create_directories(wanted.root, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{}: {}", wanted.root, error.message()));
  EGPTC_TRY(const auto data_lock, lock_folder(places.data, false, "storage.path"));
  EGPTC_TRY(const backup::BackupKeys keys, keys_of_backup(common, wanted.key_file, wanted.file));
  Staging staging{places.staging};
  EGPTC_TRY(const backup::Metadata metadata, backup::unpack_backup(wanted.file, keys, places.staging));
  if (places.config.empty()) places.config = wanted.root + "/" + metadata.config_name;
  const bool has_config = !metadata.config_name.empty();
  EGPTC_TRY(const auto loaded,
            check_config(common, has_config ? places.staging + "/" + metadata.config_name : std::string()));
  const Staged staged = stage(loaded->settings, places);
  std::unique_ptr<app::StorageFolder> keystore_lock;
  if (!staged.keystore_is_inside) {
    EGPTC_TRY(keystore_lock, lock_folder(staged.live_keystore, !wanted.dry_run, "storage.keystore_path"));
  }
  EGPTC_TRY(const StorageStats entries, check_entries(staged, wanted));
  fmt::print("{} of {}: {} files verified, settings valid, {} entries readable\n", wanted.file,
             metadata.timestamp, metadata.files.size(), entries.loaded);
  if (entries.erased > 0)
    fmt::print("{} entries left out: they were erased after the backup was made\n", entries.erased);
  if (entries.keyless > 0)
    fmt::print("{} entries left out: their subjects' keys were destroyed, or the keystore is not here\n",
               entries.keyless);
  if (!wanted.dry_run) EGPTC_TRY_VOID(place_keystore(staged, staging));
  const std::vector<backup::Replacement> all = replacements_of(places, metadata);
  if (wanted.dry_run) {
    for (const backup::Replacement& one : all) fmt::print("would replace {}\n", one.to);
    return 0;
  }
  EGPTC_TRY_VOID(backup::replace_all(all));
  // A second copy of the keys would outlive their destruction.
  fs::remove_all(places.kept + "/cache/keystore", error);
  for (const backup::Replacement& one : all) fmt::print("restored {}\n", one.to);
  if (fs::is_directory(places.kept)) fmt::print("what was there before is in {}\n", places.kept);
  return 0;
}

}  // namespace

int restore(const Common& common, const RestoreArguments& wanted) {
  const auto done = run(common, wanted);
  return done ? *done : report(done.error());
}

}  // namespace enhanced_gptcache::cli
