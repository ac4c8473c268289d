#pragma once
// The changes an operator made through /admin/config: a JSON object of "section.key" to text in the
// storage folder, over the file and under environment and flags. Written whole, by rename, 0600.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"
#include "config/settings.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::config {

using AdminValues = std::map<std::string, std::string>;

std::string admin_file_path(const Settings& settings);
/// False: whoever may change settings over the network must not set this key ("section.key"), because it says
/// whom this machine calls, what it runs, reads or writes, or because only the machine itself can tell
/// whether the next start would be refused with it (an address to listen on, a model, a processor's kernel).
bool may_be_admin_change(std::string_view name);
/// Empty when there is no such file; nullopt with problems when it is damaged.
std::optional<AdminValues> read_admin_file(const std::string& path, std::vector<Problem>& problems);
/// Makes the folder if needed. kIo with the reason; the old file is then as it was.
Result<void> write_admin_file(const std::string& path, const AdminValues& values);
/// Fine when there is none. kIo.
Result<void> remove_admin_file(const std::string& path);

}  // namespace enhanced_gptcache::config
