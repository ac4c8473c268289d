#pragma once
// What a start would be refused for, looked at before it has written anything: a server that does not come up
// leaves no keys, no admin.key and no audit log of a life it never had.

#include <memory>
#include <string>

#include "config/settings.h"
#include "enhanced_gptcache/result.h"
#include "vault/vault.h"

namespace enhanced_gptcache::app {

/// What must hold before the port is opened: with security off only this machine may call.
Result<void> check_listening(const config::Settings& settings);

/// Whether the folder is there and can be written, or can be made. Makes nothing. kIo names the setting.
Result<void> check_folder(const std::string& path, const char* setting);

/// Storage and keystore folders, the model's folder, the instance key (opened if it is there), the admin's
/// key file and the file of token keys, each as the parts that come later take them. Changes nothing. `vault`
/// null: no master keys are named.
Result<void> check_before_start(const config::Settings& settings, const vault::Vault* vault);

}  // namespace enhanced_gptcache::app
