#include <fmt/format.h>

#include "cli/commands.h"

namespace enhanced_gptcache::cli {

std::shared_ptr<const config::Loaded> load_or_report(const Common& common) {
  const config::LoadOutcome outcome = config::load(common.load);
  for (const config::Problem& problem : outcome.errors) fmt::print(stderr, "error: {}\n", problem.text());
  for (const config::Problem& problem : outcome.warnings) fmt::print(stderr, "warning: {}\n", problem.text());
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
  return fmt::format("http://{}:{}", host, settings.server.port);
}

}  // namespace enhanced_gptcache::cli
