#include "app/start_checks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/options_from_settings.h"
#include "app/vault_parts.h"
#include "base/small_file.h"
#include "config/small_file.h"
#include "security/api_key.h"
#include "security/jwks.h"

namespace enhanced_gptcache::app {
namespace {

namespace fs = std::filesystem;

Result<void> check_admin_key(const config::Settings& settings) {
  const std::string& path = settings.security.admin_key_file;
  if (!settings.security.enabled || path.empty()) return {};
  const auto key = config::read_secret_file(path);
  if (!key) return fail(key.error().code, "security.admin_key_file: " + key.error().message);
  if (auto form = security::check_admin_key_form(*key); !form)
    return fail(form.error().code, fmt::format("security.admin_key_file {}: {}", path, form.error().message));
  return {};
}

Result<void> check_token_keys(const config::Settings& settings) {
  const std::string& path = settings.security.jwt_jwks_file;
  if (!settings.security.enabled || path.empty()) return {};
  const auto text = base::read_small_file(path, security::kJwksBytesMax);
  const auto keys = text ? security::JwkSet::parse(*text) : Result<security::JwkSet>(fail(text.error()));
  if (keys) return {};
  return fail(keys.error().code, fmt::format("security.jwt_jwks_file {}: {}", path, keys.error().message));
}

}  // namespace

Result<void> check_listening(const config::Settings& settings) {
  const auto& security = settings.security;
  if (is_loopback(settings.server.host) || security.enabled || security.insecure_listen) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("server.host is {} while security is off: anybody who reaches the port could use the cache "
                  "and its upstream key. Listen on 127.0.0.1, or set security.insecure_listen to true when "
                  "something in front of it does the authentication",
                  settings.server.host));
}

Result<void> check_folder(const std::string& path, const char* setting) {
  std::error_code error;
  fs::path existing = fs::absolute(path, error).lexically_normal();
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  int reason = ENOTDIR;
  if (fs::is_directory(existing, error)) reason = ::access(existing.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
  if (reason == 0) return {};
  return fail(ErrorCode::kIo, fmt::format("{} {} cannot be written or made ({}: {})", setting, path,
                                          existing.string(), std::strerror(reason)));
}

Result<void> check_before_start(const config::Settings& settings, const vault::Vault* vault) {
  const std::string& folder = settings.storage.path;
  EGPTC_TRY_VOID(check_folder(folder, "storage.path"));
  EGPTC_TRY_VOID(check_folder(keystore_folder(settings, folder), "storage.keystore_path"));
  if (settings.embedder.enabled) EGPTC_TRY_VOID(find_model(settings));
  EGPTC_TRY_VOID(check_instance_key(settings, folder, vault));
  EGPTC_TRY_VOID(check_admin_key(settings));
  return check_token_keys(settings);
}

}  // namespace enhanced_gptcache::app
