#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "app/storage_folder.h"
#include "backup/backup.h"
#include "cli/backup_commands.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "security/instance_key.h"

namespace enhanced_gptcache::cli {
namespace {

namespace fs = std::filesystem;

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

/// The settings of the backup must be ones this program can start with.
Result<void> check_config(const Common& common, const std::string& path) {
  config::LoadRequest request = common.load;
  request.path = path;
  EGPTC_TRY_VOID(config::load_or_error(request));
  return {};
}

/// Every entry is read before anything is replaced; how many there are.
Result<uint64_t> check_entries(const std::string& data) {
  if (!fs::is_directory(data + "/entries")) return 0;
  Options options;
  options.storage.path = data;
  options.bytes_max = size_t{1} << 40U;
  options.storage.bytes_max = options.bytes_max;
  if (!fs::exists(security::instance_key_path(data)))
    return fail(
        ErrorCode::kNotFound,
        "the backup holds entries but no instance.key (security.instance_key_file was set): put the key "
        "into its place and restore with --data-to where the settings expect it");
  EGPTC_TRY(const base::SecretKey key,
            security::load_or_create_instance_key(security::instance_key_path(data)));
  options.key_bytes.assign(key.begin(), key.end());
  EGPTC_TRY(const auto cache, EnhancedCache::open(options, nullptr));
  const StorageStats stats = cache->storage_stats();
  if (!stats.problem.empty()) return fail(ErrorCode::kCorrupt, "the entries of the backup: " + stats.problem);
  return stats.loaded;
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

/// What restore has unpacked and not put in place is removed at the end, however it ends.
struct Staging {
  std::string path;
  ~Staging() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

Result<int> run(const Common& common, const RestoreArguments& wanted) {
  Places places = places_of(wanted, backup::timestamp_now());
  std::error_code error;
  fs::create_directories(wanted.root, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{}: {}", wanted.root, error.message()));
  std::unique_ptr<app::StorageFolder> lock;  // nobody may run on what is replaced
  if (fs::is_directory(places.data)) {
    EGPTC_TRY(lock, app::StorageFolder::open(places.data));
  }
  const Staging staging{places.staging};
  EGPTC_TRY(const backup::Metadata metadata, backup::unpack_backup(wanted.file, places.staging));
  if (places.config.empty()) places.config = wanted.root + "/" + metadata.config_name;
  if (!metadata.config_name.empty())
    EGPTC_TRY_VOID(check_config(common, places.staging + "/" + metadata.config_name));
  EGPTC_TRY(const uint64_t entries, check_entries(places.staging + "/cache"));
  fmt::print("{} of {}: {} files verified, settings valid, {} entries readable\n", wanted.file,
             metadata.timestamp, metadata.files.size(), entries);
  const std::vector<backup::Replacement> all = replacements_of(places, metadata);
  if (wanted.dry_run) {
    for (const backup::Replacement& one : all) fmt::print("would replace {}\n", one.to);
    return 0;
  }
  EGPTC_TRY_VOID(backup::replace_all(all));
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
