#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"
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
