// validate-deployment: is what runs here fit for the environment it is meant for?

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/deployment_checks.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

struct NamedCheck {
  const char* name;
  CheckResult (*run)(const Deployment&);
  bool is_of_this_machine;  ///< left out with --remote: the server runs somewhere else
};

constexpr NamedCheck kChecks[] = {
    {"configuration", check_settings, true},
    {"live", check_live, false},
    {"ready", check_ready, false},
    {"health", check_health_report, false},
    {"metrics", check_metrics, false},
    {"round_trip", check_round_trip, false},
    {"latency", check_latency, false},
    {"transport", check_transport, true},
    {"permissions", check_permissions, true},
    {"storage", check_storage_folder, true},
    {"model", check_model_sum, true},
    {"backups", check_backups, true},
};

const char* word(Verdict verdict) {
  static constexpr const char* kWords[] = {"ok", "warning", "FAILED"};
  return kWords[static_cast<int>(verdict)];
}

void report_configuration(const std::vector<config::Problem>& errors, const std::string& environment,
                          bool as_json) {
  std::string all;
  for (const config::Problem& problem : errors) all += (all.empty() ? "" : "; ") + problem.text();
  if (!as_json) {
    fmt::print("{:<8} {:<14} {}\n", "FAILED", "configuration", all);
    return;
  }
  const ordered_json check = {{"check", "configuration"}, {"status", "FAILED"}, {"detail", all}};
  fmt::print(
      "{}\n",
      ordered_json({{"environment", environment}, {"ok", false}, {"checks", ordered_json::array({check})}})
          .dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

int run_checks(const Deployment& deployment, const DeploymentArguments& wanted) {
  ordered_json list = ordered_json::array();
  bool all_ok = true;
  for (const NamedCheck& check : kChecks) {
    if (wanted.remote && check.is_of_this_machine) continue;
    const CheckResult result = check.run(deployment);
    all_ok = all_ok && result.verdict != Verdict::kFailed;
    list.push_back({{"check", check.name}, {"status", word(result.verdict)}, {"detail", result.detail}});
    if (!wanted.as_json) fmt::print("{:<8} {:<14} {}\n", word(result.verdict), check.name, result.detail);
  }
  if (wanted.as_json) {
    fmt::print("{}\n", ordered_json({{"environment", wanted.environment}, {"ok", all_ok}, {"checks", list}})
                           .dump(2, ' ', false, ordered_json::error_handler_t::replace));
  }
  return all_ok ? 0 : 1;
}

}  // namespace

int validate_deployment(const Common& common, DeploymentArguments wanted) {
  Common meant = common;
  if (wanted.environment.empty()) {
    const auto given = common.load.environment.find("ENV");
    wanted.environment = given == common.load.environment.end() ? "production" : given->second;
  }
  meant.load.environment["ENV"] = wanted.environment;
  const config::LoadOutcome outcome = config::load(meant.load);
  if (outcome.loaded == nullptr) {
    report_configuration(outcome.errors, wanted.environment, wanted.as_json);
    return failure_code(outcome.errors);
  }
  auto headers = caller_credential(meant, outcome.loaded->settings, wanted.key_variable, false);
  if (!headers) {
    fmt::print(stderr, "error: {}\n", headers.error().message);
    return 2;
  }
  Deployment deployment;
  deployment.loaded = outcome.loaded.get();
  deployment.url = server_url(meant, outcome.loaded->settings);
  deployment.headers = std::move(*headers);
  deployment.is_strict = wanted.environment == "production";
  deployment.backups = wanted.backups;
  deployment.backup_hours_max = wanted.backup_hours_max;
  return run_checks(deployment, wanted);
}

}  // namespace enhanced_gptcache::cli
