// Checks of the running server, over HTTP, as a caller would make them.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/deployment_checks.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

constexpr size_t kLatencyCalls = 200;
constexpr double kMeanMsMax = 1.0, kP95MsMax = 5.0, kP99MsMax = 10.0;

CheckResult failed(std::string detail) { return {Verdict::kFailed, std::move(detail)}; }

/// Where the check's own entries lie: a namespace of the caller's tenant that nobody else uses.
constexpr const char* kNamespace = "validate-deployment";

std::string fresh_question() {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return fmt::format("Is the deployment that was checked at tick {} in order?", now);
}

/// Body of a call that has to answer `status`; else why it did not.
Result<json> call(const Deployment& deployment, const char* method, const std::string& path, const json& body,
                  int status) {
  EGPTC_TRY(const HttpAnswer answer,
            http_call(deployment.url, method, path, body.is_null() ? "" : body.dump(), deployment.headers));
  if (answer.status == 401 || answer.status == 403) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} {} needs a key: name a variable that holds one with --api-key-env ({})",
                            method, path, error_text(answer)));
  }
  if (answer.status != status)
    return fail(ErrorCode::kUnavailable, fmt::format("{} {}: {}", method, path, error_text(answer)));
  json parsed = json::parse(answer.body, nullptr, false);
  if (parsed.is_discarded())
    return fail(ErrorCode::kUnavailable, fmt::format("{} {} did not answer with JSON", method, path));
  return parsed;
}

CheckResult check_status(const Deployment& deployment, const char* path) {
  const auto answer = http_call(deployment.url, "GET", path, "");
  if (!answer) return failed(fmt::format("{} does not answer ({})", deployment.url, answer.error().message));
  if (answer->status != 200) return failed(fmt::format("{} says {}", path, answer->status));
  return {Verdict::kOk, fmt::format("{}{} 200", deployment.url, path)};
}

/// An entry that is there while it lives. remove() says whether taking it away worked.
struct OwnEntry {
  const Deployment& deployment;
  std::string question, id;

  Result<void> store() {
    const json body = {
        {"query", question}, {"response", "It is."}, {"namespace", kNamespace}, {"ttl_seconds", 300}};
    EGPTC_TRY(const json stored, call(deployment, "POST", "/cache/entries", body, 201));
    if (!stored.contains("ids") || !stored["ids"].is_array() || stored["ids"].empty())
      return fail(ErrorCode::kUnavailable, "a store answered without the id of its entry");
    id = stored["ids"][0].get<std::string>();
    return {};
  }
  Result<json> lookup(const std::string& text) const {
    return call(deployment, "POST", "/cache/lookup", {{"query", text}, {"namespace", kNamespace}}, 200);
  }
  Result<void> remove() {
    EGPTC_TRY(const json removed, call(deployment, "DELETE", "/cache/entries/" + id, nullptr, 200));
    return {};
  }
};

Result<std::string> round_trip(const Deployment& deployment) {
  OwnEntry entry{deployment, fresh_question(), ""};
  EGPTC_TRY_VOID(entry.store());
  EGPTC_TRY(const json hit, entry.lookup(entry.question));
  EGPTC_TRY(const json miss, entry.lookup("Which river flows through the town of the deployment?"));
  EGPTC_TRY_VOID(entry.remove());
  EGPTC_TRY(const json gone, entry.lookup(entry.question));
  if (!hit.value("hit", false)) {
    return fail(ErrorCode::kInternal, fmt::format("a stored entry was not served: {}",
                                                  hit.value("reason", std::string("no reason given"))));
  }
  if (hit.value("response", json()) != "It is.")
    return fail(ErrorCode::kInternal, "a stored entry came back with another answer");
  if (miss.value("hit", true)) return fail(ErrorCode::kInternal, "an unrelated question was answered");
  if (gone.value("hit", true)) return fail(ErrorCode::kInternal, "a deleted entry was served");
  return std::string("stored, found, missed and deleted");
}

Result<std::vector<double>> exact_hit_times(const Deployment& deployment) {
  OwnEntry entry{deployment, fresh_question(), ""};
  EGPTC_TRY_VOID(entry.store());
  std::vector<double> times;
  const json body = {{"query", entry.question}, {"namespace", kNamespace}};
  EGPTC_TRY(const auto answers, http_calls(deployment.url, "POST", "/cache/lookup", body.dump(),
                                           deployment.headers, kLatencyCalls));
  for (const HttpAnswer& answer : answers) {
    const json hit = json::parse(answer.body, nullptr, false);
    if (!hit.is_object() || !hit.value("hit", false))
      return fail(ErrorCode::kInternal, "a stored entry was not served: " + error_text(answer));
    times.push_back(hit.value("latency_ms", 0.0));
  }
  EGPTC_TRY_VOID(entry.remove());
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

CheckResult check_live(const Deployment& deployment) { return check_status(deployment, "/live"); }
CheckResult check_ready(const Deployment& deployment) { return check_status(deployment, "/ready"); }

CheckResult check_health_report(const Deployment& deployment) {
  const auto answer = http_call(deployment.url, "GET", "/health", "");
  if (!answer) return failed(fmt::format("{} does not answer ({})", deployment.url, answer.error().message));
  const json body = json::parse(answer->body, nullptr, false);
  if (!body.is_object() || !body.contains("overall_status") || !body.contains("checks"))
    return failed(fmt::format("something else than enhanced-gptcache answers at {}", deployment.url));
  const std::string status = body["overall_status"].get<std::string>();
  std::string detail = fmt::format("version {} is {}", body.value("version", std::string("?")), status);
  // Servers of earlier versions do not say it.
  const json runs_as = body.value("/checks/configuration/environment"_json_pointer, json());
  if (runs_as.is_string() && runs_as != deployment.loaded->environment) {
    return {deployment.is_strict ? Verdict::kFailed : Verdict::kWarning,
            fmt::format("{}, and runs with ENV={}: it was to be checked as {}", detail,
                        runs_as.get<std::string>(), deployment.loaded->environment)};
  }
  if (status == "healthy") return {Verdict::kOk, detail};
  return {status == "warning" ? Verdict::kWarning : Verdict::kFailed,
          fmt::format("{}: {}", detail, body["checks"].dump())};
}

CheckResult check_metrics(const Deployment& deployment) {
  const auto answer = http_call(deployment.url, "GET", "/metrics?format=prometheus", "", deployment.headers);
  if (!answer) return failed(fmt::format("{} does not answer ({})", deployment.url, answer.error().message));
  if (answer->status == 404) {
    return {deployment.is_strict ? Verdict::kFailed : Verdict::kWarning,
            "metrics are switched off (monitoring.metrics_enabled, METRICS_ENABLED)"};
  }
  if (answer->status != 200) return failed(error_text(*answer));
  for (const char* name :
       {"cache_requests_total", "cache_hits_total", "cache_misses_total", "requests_total", "errors_total",
        "memory_usage_percent", "cpu_usage_percent", "config_reload_total", "deployment_info"}) {
    if (answer->body.find(fmt::format("# TYPE {} ", name)) == std::string::npos)
      return failed(fmt::format("/metrics has no {}", name));
  }
  return {Verdict::kOk, fmt::format("{} series", std::count(answer->body.begin(), answer->body.end(), '\n'))};
}

CheckResult check_round_trip(const Deployment& deployment) {
  const auto done = round_trip(deployment);
  return done ? CheckResult{Verdict::kOk, *done} : failed(done.error().message);
}

CheckResult check_latency(const Deployment& deployment) {
  const auto times = exact_hit_times(deployment);
  if (!times) return failed(times.error().message);
  const double mean = std::accumulate(times->begin(), times->end(), 0.0) / static_cast<double>(times->size());
  const double p95 = (*times)[times->size() * 95 / 100], p99 = (*times)[times->size() * 99 / 100];
  const std::string detail =
      fmt::format("{} exact hits: mean {:.3f} ms, P95 {:.3f}, P99 {:.3f}", times->size(), mean, p95, p99);
  if (mean < kMeanMsMax && p95 < kP95MsMax && p99 < kP99MsMax) return {Verdict::kOk, detail};
  return {deployment.is_strict ? Verdict::kFailed : Verdict::kWarning,
          fmt::format("{}; targets are {:g}, {:g} and {:g}", detail, kMeanMsMax, kP95MsMax, kP99MsMax)};
}

}  // namespace enhanced_gptcache::cli
