#include <fmt/format.h>

#include <algorithm>

#include "app/first_key.h"
#include "cli/commands.h"
#include "cli/http_call.h"
#include "config/small_file.h"
#include "config/url_check.h"

namespace enhanced_gptcache::cli {

int failure_code(const std::vector<config::Problem>& errors) {
  const auto is_flag = [](const config::Problem& problem) { return problem.source.starts_with("--"); };
  return std::any_of(errors.begin(), errors.end(), is_flag) ? 2 : 1;
}

std::shared_ptr<const config::Loaded> load_or_report(const Common& common, int& exit_code) {
  if (!common.server_url.empty()) {
    if (const std::string wrong = config::check_base_url(common.server_url); !wrong.empty()) {
      fmt::print(stderr, "error: --server: {} (got \"{}\")\n", wrong, common.server_url);
      exit_code = 2;
      return nullptr;
    }
  }
  const config::LoadOutcome outcome = config::load(common.load);
  for (const config::Problem& problem : outcome.errors) fmt::print(stderr, "error: {}\n", problem.text());
  for (const config::Problem& problem : outcome.warnings) fmt::print(stderr, "warning: {}\n", problem.text());
  exit_code = failure_code(outcome.errors);
  return outcome.loaded;
}

Result<http::Headers> caller_credential(const Common& common, const config::Settings& settings,
                                        const std::string& key_variable, bool is_admin_call) {
  if (!key_variable.empty()) return credential_from(key_variable);
  const bool is_here =
      common.server_url.empty() || config::is_this_machine(config::parse_authority(common.server_url).host);
  if (!is_here || !(is_admin_call || settings.security.enabled)) return http::Headers{};
  const std::string& named = settings.security.admin_key_file;
  const std::string path = named.empty() ? app::first_key_path(settings.storage.path) : named;
  const auto key = config::read_secret_file(path);
  if (!key) return http::Headers{};
  // What it stores and asks about belongs to a tenant, and that is the key's.
  if (!is_admin_call)
    fmt::print(stderr, "note: called with the admin's key in {}, for its tenant (--api-key-env: another)\n",
               path);
  return http::Headers{{"Authorization", "Bearer " + *key}};
}

std::string server_url(const Common& common, const config::Settings& settings) {
  if (!common.server_url.empty()) {
    const std::string& url = common.server_url;
    return url.ends_with('/') ? url.substr(0, url.size() - 1) : url;
  }
  std::string host = settings.server.host;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos && !host.starts_with('[')) host = "[" + host + "]";
  const char* scheme = settings.server.tls_cert_file.empty() ? "http" : "https";
  return fmt::format("{}://{}:{}", scheme, host, settings.server.port);
}

}  // namespace enhanced_gptcache::cli
