#include "app/first_key.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/small_file.h"
#include "config/small_file.h"

namespace enhanced_gptcache::app {

std::string first_key_path(const std::string& folder) { return folder + "/admin.key"; }

Result<void> ensure_admin_key(security::KeyStore& keys, const config::Settings& settings,
                              const std::string& folder) {
  const std::string& named = settings.security.admin_key_file;
  if (!named.empty()) {
    auto key = config::read_secret_file(named);
    if (!key) return fail(key.error().code, "security.admin_key_file: " + key.error().message);
    auto adopted = keys.adopt_admin(*key);
    if (!adopted)
      return fail(adopted.error().code,
                  fmt::format("security.admin_key_file {}: {}", named, adopted.error().message));
    return {};
  }
  EGPTC_TRY_VOID(keys.drop_adopted());
  if (keys.has_active_admin()) return {};
  security::KeyWish wish;
  wish.name = "made at first start";
  wish.role = security::Role::kAdmin;
  EGPTC_TRY(const security::NewKey made, keys.create(wish));
  const std::string path = first_key_path(folder);
  EGPTC_TRY_VOID(base::replace_file(path, made.key + "\n"));
  base::log_warning(
      "security: there was no admin key, so one was made; it is in {} (keep it elsewhere and delete the "
      "file)",
      path);
  return {};
}

}  // namespace enhanced_gptcache::app
