#include "backup/backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/options_from_settings.h"
#include "app/storage_folder.h"
#include "app/vault_parts.h"
#include "backup/archive.h"
#include "cli/backup_commands.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::hours kLogAgeMax{7 * 24};
/// Live files of the running server, and what a backup must not hold: damaged files, keys that exist so that
/// destroying them erases what older backups hold, and the admin's key in clear.
constexpr std::string_view kNotData[] = {"LOCK",          "entries",     "entries.mark", "entries.mark.new",
                                         "entries.spare", "checkpoints", "quarantine",   "keystore",
                                         "admin.key"};

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return 1;
}

/// The entries as of one moment: a checkpoint of the running server, dropped at the end, or the folder itself
/// while its lock is held.
class Entries {
 public:
  static Result<Entries> open(const std::string& storage_path, const std::string& url,
                              http::Headers headers) {
    Entries entries;
    if (!fs::is_directory(storage_path))
      return fail(ErrorCode::kNotFound, fmt::format("storage.path {} is no folder", storage_path));
    auto folder = app::StorageFolder::open(storage_path);
    if (folder) {
      entries.lock_ = std::move(*folder);
      entries.path_ = storage_path + "/entries";
      return entries;
    }
    if (folder.error().code != ErrorCode::kUnavailable) return fail(std::move(folder).error());
    entries.url_ = url;
    entries.headers_ = std::move(headers);
    EGPTC_TRY_VOID(entries.ask());
    return entries;
  }
  ~Entries() {
    if (!name_.empty()) (void)http_call(url_, "DELETE", "/admin/backup/" + name_, "", headers_);
  }
  Entries(Entries&& other) noexcept
      : lock_(std::move(other.lock_)),
        path_(std::move(other.path_)),
        url_(std::move(other.url_)),
        headers_(std::move(other.headers_)),
        name_(std::exchange(other.name_, {})) {}
  Entries& operator=(Entries&&) = delete;

  const std::string& path() const { return path_; }
  bool is_live() const { return lock_ == nullptr; }

 private:
  Entries() = default;
  Result<void> ask() {
    EGPTC_TRY(const HttpAnswer answer, http_call(url_, "POST", "/admin/backup", "", headers_));
    if (answer.status != 201)
      return fail(ErrorCode::kUnavailable, fmt::format("the server at {}: {}", url_, error_text(answer)));
    const json body = json::parse(answer.body, nullptr, false);
    if (!body.is_object() || !body.contains("name") || !body.contains("path"))
      return fail(ErrorCode::kUnavailable, fmt::format("something else answers at {}", url_));
    name_ = body["name"].get<std::string>();
    path_ = body["path"].get<std::string>();
    if (!fs::is_directory(path_))
      return fail(
          ErrorCode::kUnavailable,
          fmt::format("the server's checkpoint {} is not on this machine: run backup where it runs", path_));
    return {};
  }

  std::unique_ptr<app::StorageFolder> lock_;
  std::string path_, url_;
  http::Headers headers_;
  std::string name_;
};

void add_data(const std::string& storage_path, std::vector<backup::Source>& sources) {
  std::error_code error;
  for (const auto& each : fs::directory_iterator(storage_path, error)) {
    const std::string name = each.path().filename().string();
    if (std::find(std::begin(kNotData), std::end(kNotData), name) != std::end(kNotData)) continue;
    if (name.starts_with(app::kPackedName)) continue;
    if (each.is_regular_file()) sources.push_back({each.path().string(), "cache/" + name});
  }
}

/// What was erased must stay so wherever the backup is restored.
void add_ledger(const config::Settings& settings, std::vector<backup::Source>& sources) {
  const std::string path = app::ledger_path(app::keystore_folder(settings, settings.storage.path));
  if (fs::exists(path)) sources.push_back({path, kLedgerInBackup});
}

/// The log file and its rotated ones, as far as they changed within a week.
void add_logs(const std::string& log_file, std::vector<backup::Source>& sources) {
  if (log_file.empty()) return;
  const fs::path path(log_file);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  for (const auto& each : fs::directory_iterator(folder, error)) {
    std::error_code gone;
    const bool is_log = each.path().extension() == ".log" || each.path() == path;
    const auto age = fs::file_time_type::clock::now() - each.last_write_time(gone);
    if (is_log && each.is_regular_file(gone) && !gone && age <= kLogAgeMax)
      sources.push_back({each.path().string(), "logs/" + each.path().filename().string()});
  }
}

Result<void> add_models(const config::Settings& settings, std::vector<backup::Source>& sources) {
  if (!settings.embedder.enabled) return {};
  EGPTC_TRY(const std::string folder, app::find_model(settings));
  const std::string name = "models/" + fs::path(folder).lexically_normal().filename().string();
  sources.push_back({fs::canonical(folder).string(), name});
  return {};
}

Result<backup::BackupKeys> load_key_file(const std::string& path) {
  vault::KeySource source;
  source.file = path;
  source.setting = "backup_key";
  return vault::load_keys(source);
}

/// Null: the backup is not to be encrypted.
Result<backup::BackupKeys> sealing_keys(const config::Settings& settings, const BackupArguments& wanted) {
  if (!wanted.key_file.empty()) return load_key_file(wanted.key_file);
  if (settings.storage.backup_encryption == "off") return backup::BackupKeys();
  return app::backup_keys(settings);
}

Result<int> make(const Common& common, const config::Loaded& loaded, const BackupArguments& wanted) {
  const config::Settings& settings = loaded.settings;
  EGPTC_TRY(http::Headers headers, caller_credential(common, settings, wanted.key_variable, true));
  backup::BackupPlan plan;
  plan.folder = wanted.output;
  EGPTC_TRY(plan.keys, sealing_keys(settings, wanted));
  plan.type = loaded.environment;
  if (!loaded.path.empty()) {
    plan.config_name = fs::path(loaded.path).filename().string();
    plan.sources.push_back({loaded.path, plan.config_name});
    const fs::path more = fs::path(loaded.path).parent_path() / "configs";
    if (fs::is_directory(more)) plan.sources.push_back({more.string(), "configs"});
  }
  if (!wanted.without_models) EGPTC_TRY_VOID(add_models(settings, plan.sources));
  EGPTC_TRY(const Entries entries,
            Entries::open(settings.storage.path, server_url(common, settings), std::move(headers)));
  add_data(settings.storage.path, plan.sources);
  if (fs::is_directory(entries.path())) plan.sources.push_back({entries.path(), "cache/entries"});
  add_ledger(settings, plan.sources);
  add_logs(settings.monitoring.log_file, plan.sources);
  EGPTC_TRY(const backup::Made made, backup::make_backup(plan));
  fmt::print("{}\n{} files, {} bytes before compression, {}verified; {}\n", made.path,
             made.metadata.files.size(), made.metadata.bytes, plan.keys == nullptr ? "" : "encrypted, ",
             entries.is_live() ? "taken while the server ran" : "taken while no server ran");
  if (const std::string& key = settings.security.instance_key_file; !key.empty())
    fmt::print(stderr, "note: {} (security.instance_key_file) is not in it; keep it elsewhere\n", key);
  if (wanted.keep_days > 0) {
    if (const size_t removed = backup::remove_old_backups(wanted.output, wanted.keep_days); removed > 0)
      fmt::print("{} backups older than {} days removed\n", removed, wanted.keep_days);
  }
  return 0;
}

}  // namespace

Result<backup::BackupKeys> keys_of_backup(const Common& common, const std::string& key_file,
                                          const std::string& path) {
  EGPTC_TRY(const bool is_encrypted, backup::is_encrypted_archive(path));
  if (!is_encrypted) return backup::BackupKeys();
  if (!key_file.empty()) return load_key_file(key_file);
  auto loaded = config::load_or_error(common.load);
  if (!loaded)
    return fail(loaded.error().code,
                fmt::format("{} is encrypted, and the settings that should name its key cannot be read (name "
                            "the key's file with --backup-key-file instead): {}",
                            path, loaded.error().message));
  EGPTC_TRY(auto keys, app::backup_keys((*loaded)->settings));
  if (keys != nullptr) return keys;
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is encrypted: name its key with --backup-key-file, storage.backup_key_file or "
                          "EGPTC_STORAGE__BACKUP_KEYS, or name the master keys it was sealed by",
                          path));
}

int backup(const Common& common, const BackupArguments& wanted) {
  if (!wanted.verify.empty()) {
    const auto keys = keys_of_backup(common, wanted.key_file, wanted.verify);
    if (!keys) return report(keys.error());
    const auto verified = backup::verify_backup(wanted.verify, *keys);
    if (!verified) return report(verified.error());
    fmt::print("{}: {} files of {}, written by {} on {}: all as they were\n", wanted.verify,
               verified->files.size(), verified->timestamp, verified->version, verified->hostname);
    return 0;
  }
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  const auto done = make(common, *loaded, wanted);
  return done ? *done : report(done.error());
}

}  // namespace enhanced_gptcache::cli
