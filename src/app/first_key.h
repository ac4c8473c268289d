#pragma once
// The first administrator's key, so that a server with security on is never one that nobody can manage.

#include <string>

#include "config/settings.h"
#include "security/key_store.h"

namespace enhanced_gptcache::app {

/// Takes the key of security.admin_key_file; without one, and without any active admin key, makes a key and
/// leaves it in `<folder>/admin.key` (0600), of which only the path is logged.
Result<void> ensure_admin_key(security::KeyStore& keys, const config::Settings& settings,
                              const std::string& folder);

/// Where ensure_admin_key() leaves a key it has made.
std::string first_key_path(const std::string& folder);

}  // namespace enhanced_gptcache::app
