// Checks of the machine: settings, permissions, storage, model, backups.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/options_from_settings.h"
#include "base/sha256.h"
#include "cli/deployment_checks.h"

namespace enhanced_gptcache::cli {
namespace {

namespace fs = std::filesystem;

CheckResult failed(std::string detail) { return {Verdict::kFailed, std::move(detail)}; }
CheckResult ok(std::string detail) { return {Verdict::kOk, std::move(detail)}; }
/// A failure in production, a warning elsewhere.
CheckResult objected(const Deployment& deployment, std::string detail) {
  return {deployment.is_strict ? Verdict::kFailed : Verdict::kWarning, std::move(detail)};
}

bool is_local_host(const std::string& url) {
  const size_t start = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  const std::string host = url.substr(start, url.find_first_of("/", start) - start);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

/// Empty: fine. Else what is wrong with who may do what to `path`.
std::string mode_problem(const std::string& path, mode_t forbidden) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fmt::format("{}: {}", path, std::strerror(errno));
  if ((info.st_mode & forbidden) == 0) return "";
  return fmt::format("{} has mode {:04o}, which lets others {} it", path, info.st_mode & 07777U,
                     (info.st_mode & forbidden & 0444U) != 0 ? "read" : "change");
}

}  // namespace

CheckResult check_settings(const Deployment& deployment) {
  const config::Settings& settings = deployment.loaded->settings;
  const std::string file = deployment.loaded->path.empty() ? "built-in settings" : deployment.loaded->path;
  if (settings.monitoring.debug_mode)
    return objected(deployment, "monitoring.debug_mode shows debug headers to every caller");
  if (settings.cache.mode == "shadow")
    return {Verdict::kWarning, fmt::format("{} valid, but cache.mode is shadow: no hit is served", file)};
  if (!settings.cache.guards_off.empty())
    return objected(deployment, "cache.guards_off is not empty: wrong answers get through");
  if (settings.cache.serve_percent < 100) {
    return {Verdict::kWarning, fmt::format("{} valid; cache.serve_percent is {:g}, a rollout in progress",
                                           file, settings.cache.serve_percent)};
  }
  std::string warnings;
  for (const config::Problem& warning : deployment.loaded->warnings) warnings += "; " + warning.text();
  if (!warnings.empty()) return {Verdict::kWarning, fmt::format("{} valid{}", file, warnings)};
  return ok(fmt::format("{} valid, ENV {}", file, deployment.loaded->environment));
}

CheckResult check_transport(const Deployment& deployment) {
  const config::Settings& settings = deployment.loaded->settings;
  if (settings.security.insecure_listen)
    return objected(deployment,
                    "security.insecure_listen: whoever reaches the port may use the provider key");
  std::vector<std::string> urls = {settings.upstream.base_url};
  for (const config::Route& route : settings.upstream.routes) {
    urls.push_back(route.target.base_url);
    for (const config::RouteTarget& fallback : route.fallbacks) urls.push_back(fallback.base_url);
  }
  for (const std::string& url : urls) {
    if (url.starts_with("http://") && !is_local_host(url))
      return objected(deployment, fmt::format("{} is not https: prompts and keys travel in the clear", url));
  }
  if (deployment.url.starts_with("http://") && !is_local_host(deployment.url))
    return {Verdict::kWarning, fmt::format("{} is not https: put TLS in front of it", deployment.url)};
  return ok(
      fmt::format("{} upstream{} over TLS or on this machine", urls.size(), urls.size() == 1 ? "" : "s"));
}

CheckResult check_permissions(const Deployment& deployment) {
  const config::Settings& settings = deployment.loaded->settings;
  std::vector<std::pair<std::string, mode_t>> wanted;
  const std::string key = settings.security.instance_key_file.empty()
                              ? settings.storage.path + "/instance.key"
                              : settings.security.instance_key_file;
  wanted.emplace_back(key, 0077);
  wanted.emplace_back(settings.storage.path, 0022);
  if (!deployment.loaded->path.empty()) wanted.emplace_back(deployment.loaded->path, 0002);
  for (const auto& [path, forbidden] : wanted) {
    if (const std::string problem = mode_problem(path, forbidden); !problem.empty()) return failed(problem);
  }
  return ok(fmt::format("{} files and folders", wanted.size()));
}

CheckResult check_storage_folder(const Deployment& deployment) {
  const std::string& path = deployment.loaded->settings.storage.path;
  std::error_code error;
  if (!fs::is_directory(path, error)) return failed(fmt::format("storage.path {} is no folder", path));
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0)
    return failed(fmt::format("storage.path {} is not writable: {}", path, std::strerror(errno)));
  const auto space = fs::space(path, error);
  if (error) return failed(fmt::format("storage.path {}: {}", path, error.message()));
  const uint64_t free_mb = space.available >> 20U;
  if (free_mb < 64) return failed(fmt::format("storage.path {} has only {} MB free", path, free_mb));
  // The guide asks for 10 GB of disk; a tenth of it left is the time to look.
  if (free_mb < 1024) return {Verdict::kWarning, fmt::format("{} has only {} MB free", path, free_mb)};
  return ok(fmt::format("{} writable, {} GB free", path, free_mb >> 10U));
}

CheckResult check_model_sum(const Deployment& deployment) {
  if (!deployment.loaded->settings.embedder.enabled)
    return {Verdict::kWarning, "embedder.enabled is false: only identical requests are answered"};
  const auto folder = app::find_model(deployment.loaded->settings);
  if (!folder) return failed(folder.error().message);
  const std::string path = *folder + "/model.safetensors";
  std::ifstream file(path, std::ios::binary);
  if (!file) return failed(fmt::format("{} cannot be read", path));
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string sum = base::to_hex(base::sha256(bytes));
  if (sum == kModelSum) return ok(fmt::format("{}: sha256 as published", path));
  if (fs::path(*folder).filename() == "all-MiniLM-L6-v2")
    return failed(fmt::format("{} is damaged: sha256 {}, published is {}", path, sum, kModelSum));
  return {Verdict::kWarning, fmt::format("{} is a model of your own (sha256 {})", path, sum)};
}

CheckResult check_backups(const Deployment& deployment) {
  std::error_code error;
  fs::directory_iterator entries(deployment.backups, error);
  if (error) {
    return objected(deployment, fmt::format("no backups in {} ({})", deployment.backups, error.message()));
  }
  fs::path newest;
  fs::file_time_type newest_time;
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("backup_") || (!name.ends_with(".tar.gz") && !name.ends_with(".tar.gz.enc")))
      continue;
    const auto time = entry.last_write_time(error);
    if (!error && (newest.empty() || time > newest_time)) {
      newest = entry.path();
      newest_time = time;
    }
  }
  if (newest.empty())
    return objected(deployment, fmt::format("no backup_*.tar.gz or .tar.gz.enc in {}", deployment.backups));
  const auto age =
      std::chrono::duration<double, std::ratio<3600>>(fs::file_time_type::clock::now() - newest_time);
  const std::string what = fmt::format("{} is {:.1f} hours old", newest.string(), age.count());
  if (age.count() > deployment.backup_hours_max)
    return objected(deployment,
                    fmt::format("{}, at most {:g} are allowed", what, deployment.backup_hours_max));
  if (fs::file_size(newest, error) == 0 || error) return failed(fmt::format("{} is empty", newest.string()));
  return ok(what);
}

}  // namespace enhanced_gptcache::cli
