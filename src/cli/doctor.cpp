#include "app/doctor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/connection_limit.h"
#include "app/options_from_settings.h"
#include "base/cpu_budget.h"
#include "cli/commands.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

/// Asks the running server for its own opinion. A server that is not there is no failure: the
/// operator may be looking before starting it.
Result<std::string> check_server(const std::string& url) {
  const auto answer = http_call(url, "GET", "/health", "");
  if (!answer) return fmt::format("none at {} ({})", url, answer.error().message);
  const auto body = ordered_json::parse(answer->body, nullptr, false);
  if (!body.is_object() || !body.contains("overall_status")) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("something else than enhanced-gptcache answers at {}", url));
  }
  const std::string status = body["overall_status"].get<std::string>();
  if (status == "healthy") return fmt::format("healthy at {}", url);
  return fail(ErrorCode::kUnavailable,
              fmt::format("the server at {} says {}: {}", url, status, body["checks"].dump()));
}

struct Subject {
  std::shared_ptr<const config::Loaded> loaded;
  std::shared_ptr<const Embedder> embedder;
};

Result<std::string> check_model(Subject& subject) {
  const config::Settings& settings = subject.loaded->settings;
  if (!settings.embedder.enabled) return std::string("off (embedder.enabled is false): exact layer only");
  EGPTC_TRY(const std::string folder, app::find_model(settings));
  const auto budget = app::split_threads(settings, 1);
  EGPTC_TRY(auto opened, Embedder::open(app::embedder_options(settings, budget, folder)));
  subject.embedder = std::move(opened);
  return app::check_embedder(*subject.embedder);
}

}  // namespace

int doctor(const Common& common, bool as_json) {
  Subject subject;
  const config::LoadOutcome outcome = config::load(common.load);
  subject.loaded = outcome.loaded;
  std::vector<app::Check> checks;
  checks.push_back({"configuration", [&]() -> Result<std::string> {
                      if (outcome.loaded != nullptr) {
                        return fmt::format("{} valid",
                                           outcome.path.empty() ? "built-in settings" : outcome.path);
                      }
                      std::string all;
                      for (const auto& problem : outcome.errors)
                        all += (all.empty() ? "" : "; ") + problem.text();
                      return fail(ErrorCode::kInvalidArgument, all);
                    }});
  if (outcome.loaded != nullptr) {
    const config::Settings& settings = outcome.loaded->settings;
    checks.push_back({"storage", [&settings] { return app::check_storage(settings.storage.path); }});
    checks.push_back({"model", [&subject] { return check_model(subject); }});
    checks.push_back({"verifier", [&] { return app::check_verifier(settings, subject.embedder); }});
    checks.push_back({"cache", [&subject] { return app::check_cache(subject.embedder); }});
    checks.push_back(
        {"pca", [&settings] { return app::check_pca(static_cast<size_t>(settings.pca.target_dimensions)); }});
    checks.push_back(
        {"descriptors", [&settings] { return Result<std::string>(app::describe_descriptors(settings)); }});
    checks.push_back({"tau", [&settings] { return app::check_tau(app::cache_options(settings).tau); }});
    checks.push_back({"server", [&] { return check_server(server_url(common, settings)); }});
  }
  const std::vector<app::Finding> findings = app::examine(checks);
  bool all_ok = true;
  ordered_json list = ordered_json::array();
  for (const app::Finding& finding : findings) {
    all_ok = all_ok && finding.ok;
    list.push_back({{"check", finding.name}, {"ok", finding.ok}, {"detail", finding.detail}});
    if (!as_json) fmt::print("{:<6} {:<14} {}\n", finding.ok ? "ok" : "FAILED", finding.name, finding.detail);
  }
  if (as_json) fmt::print("{}\n", ordered_json({{"ok", all_ok}, {"checks", list}}).dump(2));
  return all_ok ? 0 : 1;
}

}  // namespace enhanced_gptcache::cli
