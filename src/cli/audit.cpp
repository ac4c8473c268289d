#include <fmt/format.h>

#include <algorithm>

#include "app/vault_parts.h"
#include "base/small_file.h"
#include "cli/security_commands.h"
#include "security/audit_chain.h"

namespace enhanced_gptcache::cli {
namespace {

constexpr size_t kFileBytesMax = size_t{2} << 30U;

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return 1;
}

}  // namespace

int audit_verify(const Common& common, const AuditArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  const std::string folder = wanted.folder.empty() ? loaded->settings.storage.path : wanted.folder;
  config::Settings settings = loaded->settings;
  settings.storage.path = folder;
  // Never makes a key: a log that is checked under a fresh one would look forged.
  const auto key = app::read_instance_key(settings, folder);
  if (!key) return report(key.error());
  const auto found = security::verify_audit(folder, *key);
  if (!found) return report(found.error());
  for (const std::string& problem : found->problems) fmt::print("{}\n", problem);
  fmt::print("{}: {} lines in {} files, {} to {}\n",
             found->problems.empty() ? "the chain holds" : "THE CHAIN IS BROKEN", found->lines, found->files,
             found->first_seq, found->last_seq);
  return found->problems.empty() ? 0 : 1;
}

int audit_tail(const Common& common, const AuditArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  const std::string folder = wanted.folder.empty() ? loaded->settings.storage.path : wanted.folder;
  const std::vector<std::string> files = security::audit_files(folder + "/audit");
  if (files.empty())
    return report({ErrorCode::kNotFound, fmt::format("there is no audit log in {}", folder)});
  std::vector<std::string> lines;
  for (auto file = files.rbegin(); file != files.rend() && lines.size() < wanted.count; ++file) {
    const auto content = base::read_small_file(*file, kFileBytesMax);
    if (!content) return report(content.error());
    std::string_view rest(*content);
    while (!rest.empty() && lines.size() < wanted.count) {
      rest.remove_suffix(rest.ends_with('\n') ? 1 : 0);
      const size_t begin = rest.rfind('\n') == rest.npos ? 0 : rest.rfind('\n') + 1;
      if (begin < rest.size()) lines.emplace_back(rest.substr(begin));
      rest = rest.substr(0, begin);
    }
  }
  std::reverse(lines.begin(), lines.end());
  for (const std::string& line : lines) fmt::print("{}\n", line);
  return 0;
}

}  // namespace enhanced_gptcache::cli
