// Load on a running server: what the layers answer, and how soon.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "cli/commands.h"
#include "cli/http_call.h"
#include "cli/load_run.h"
#include "http/url.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

constexpr std::string_view kNamespace = "bench";
constexpr int kSecondsKept = 3600;  // what a run that was cut off leaves behind goes by itself
constexpr size_t kStoreConnections = 4;
constexpr std::array kTasks = {"renew",   "repair", "cancel",  "insure",  "clean",   "paint",   "sell",
                               "measure", "ship",   "inspect", "borrow",  "donate",  "wrap",    "register",
                               "lock",    "rent",   "upgrade", "archive", "protect", "decorate"};
constexpr std::array kThings = {"password",     "invoice",  "router",     "passport",     "mortgage",
                                "bicycle",      "keyboard", "garden",     "violin",       "printer",
                                "kitchen",      "contract", "camera",     "boat",         "wedding dress",
                                "library card", "server",   "tax return", "subscription", "piano"};
constexpr std::array kKinds = {"",        "spare ",   "wooden ", "rented ", "heavy ",
                               "broken ", "foreign ", "second ", "shared ", "private "};
static_assert(kTasks.size() * kThings.size() * kKinds.size() >= kBenchEntriesMax);

std::string question(std::string_view beginning, uint64_t number) {
  return fmt::format("{} {} a {}{}?", beginning, kTasks[number % kTasks.size()],
                     kKinds[number / (kTasks.size() * kThings.size()) % kKinds.size()],
                     kThings[number / kTasks.size() % kThings.size()]);
}

std::string chat(const std::string& text) {
  return json({{"model", "default"}, {"messages", {{{"role", "user"}, {"content", text}}}}}).dump();
}

/// The stored questions, `semantic_percent` of them in other words, evenly mixed.
std::vector<std::string> questions(const BenchArguments& wanted) {
  std::vector<std::string> made;
  double owed = 0;
  for (uint64_t i = 0; i < wanted.entries; ++i) {
    owed += wanted.semantic_percent / 100;
    const bool is_semantic = owed >= 1;
    if (is_semantic) owed -= 1;
    made.push_back(chat(question(is_semantic ? "How can I" : "How do I", i)));
  }
  return made;
}

Result<void> store_questions(LoadPlan plan, const BenchArguments& wanted) {
  plan.path = "/cache/entries";
  plan.bodies.clear();
  for (uint64_t i = 0; i < wanted.entries; ++i) {
    plan.bodies.push_back(json({{"query", question("How do I", i)},
                                {"response", fmt::format("answer {}", i)},
                                {"namespace", kNamespace},
                                {"ttl_seconds", kSecondsKept}})
                              .dump());
  }
  plan.requests = plan.bodies.size();
  plan.connections = std::min<size_t>(kStoreConnections, plan.bodies.size());
  plan.rate = 0;
  plan.start = 0;
  EGPTC_TRY(const LoadOutcome stored, run_load(plan));
  const auto right = stored.statuses.find(201);
  if (right != stored.statuses.end() && right->second == plan.requests) return {};
  return fail(ErrorCode::kUnavailable,
              fmt::format("the {} questions to ask were not all stored ({} connections failed): {}",
                          plan.requests, stored.failed, stored.first_refusal));
}

Result<std::vector<std::string>> lines_of(const std::string& name) {
  std::ifstream file(name);
  if (!file) return fail(ErrorCode::kNotFound, fmt::format("{} cannot be read", name));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(std::move(line));
  }
  if (lines.empty()) return fail(ErrorCode::kInvalidArgument, fmt::format("{} holds no request body", name));
  return lines;
}

json to_json(const BenchArguments& wanted, const LoadOutcome& outcome) {
  json layers = json::object(), statuses = json::object();
  size_t answers = 0;
  for (const auto& [layer, times] : outcome.milliseconds) {
    answers += times.size();
    const double sum = std::accumulate(times.begin(), times.end(), 0.0);
    layers[layer] = {{"count", times.size()},
                     {"mean_ms", sum / static_cast<double>(times.size())},
                     {"p50_ms", percentile(times, 0.5)},
                     {"p95_ms", percentile(times, 0.95)},
                     {"p99_ms", percentile(times, 0.99)},
                     {"p999_ms", percentile(times, 0.999)}};
  }
  for (const auto& [status, count] : outcome.statuses) statuses[std::to_string(status)] = count;
  return {{"requests", answers},
          {"seconds", outcome.seconds},
          {"per_second", static_cast<double>(answers) / outcome.seconds},
          {"wanted_per_second", wanted.rate},
          {"failed", outcome.failed},
          {"most_waiting", outcome.most_waiting},
          {"statuses", statuses},
          {"layers", layers}};
}

void print(const json& figures, const std::string& first_refusal) {
  fmt::print("{:<10}{:>10}{:>11}{:>11}{:>11}{:>11}\n", "layer", "answers", "mean ms", "p50", "p95", "p99");
  for (const auto& [layer, times] : figures["layers"].items()) {
    fmt::print("{:<10}{:>10}{:>11.3f}{:>11.3f}{:>11.3f}{:>11.3f}\n", layer, times["count"].get<size_t>(),
               times["mean_ms"].get<double>(), times["p50_ms"].get<double>(), times["p95_ms"].get<double>(),
               times["p99_ms"].get<double>());
  }
  if (!first_refusal.empty()) fmt::print("first refusal: {}\n", first_refusal);
  fmt::print("{} answers in {:.1f} s ({:.0f}/s), {} connections failed; statuses {}\n",
             figures["requests"].get<size_t>(), figures["seconds"].get<double>(),
             figures["per_second"].get<double>(), figures["failed"].get<size_t>(),
             figures["statuses"].dump());
}

Result<LoadPlan> plan_of(const std::string& url, const BenchArguments& wanted,
                         const http::Headers& credential) {
  EGPTC_TRY(const http::Url parts, http::parse_url(url, "--server"));
  if (parts.tls)
    return fail(ErrorCode::kUnsupported, fmt::format("bench speaks plain HTTP only, not {}", url));
  LoadPlan plan;
  plan.host = parts.host;
  plan.port = parts.port;
  plan.path = wanted.path;
  plan.headers = wanted.headers;
  for (const http::Header& one : credential)
    plan.headers.push_back(fmt::format("{}: {}", one.name, one.value));
  plan.start = wanted.start;
  plan.connections = wanted.connections;
  plan.requests = wanted.requests;
  plan.seconds = wanted.seconds;
  plan.rate = wanted.rate;
  return plan;
}

/// The load, and before and after it the questions of its own when no file names any.
Result<LoadOutcome> run_bench(const std::string& url, const BenchArguments& wanted,
                              const http::Headers& credential) {
  EGPTC_TRY(LoadPlan plan, plan_of(url, wanted, credential));
  if (!wanted.bodies.empty()) {
    EGPTC_TRY(plan.bodies, lines_of(wanted.bodies));
    return run_load(plan);
  }
  EGPTC_TRY_VOID(store_questions(plan, wanted));
  plan.bodies = questions(wanted);
  plan.headers.push_back(fmt::format("X-Cache-Namespace: {}", kNamespace));
  plan.headers.emplace_back("X-Cache-Control: only-if-cached");  // costs nothing upstream
  auto outcome = run_load(plan);
  const json flush = {{"namespace", kNamespace}, {"confirm", "flush"}};
  const auto flushed = http_call(url, "POST", "/cache/flush", flush.dump(), credential);
  if (!flushed || flushed->status != 200)
    fmt::print(stderr, "note: the questions in namespace {} stay for an hour; flushing them was refused\n",
               kNamespace);
  return outcome;
}

}  // namespace

int bench(const Common& common, const BenchArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  const std::string url = server_url(common, loaded->settings);
  // Header lines of the caller's own may hold another credential.
  auto credential = wanted.headers.empty()
                        ? caller_credential(common, loaded->settings, wanted.key_variable, false)
                        : credential_from(wanted.key_variable);
  if (!credential) {
    fmt::print(stderr, "error: {}\n", credential.error().message);
    return 2;
  }
  const auto outcome = run_bench(url, wanted, *credential);
  if (!outcome) {
    fmt::print(stderr, "error: {}\n", outcome.error().message);
    return outcome.error().code == ErrorCode::kUnavailable ? 1 : 2;
  }
  const json figures = to_json(wanted, *outcome);
  wanted.as_json ? fmt::print("{}\n", figures.dump()) : print(figures, outcome->first_refusal);
  const bool is_refused = std::any_of(outcome->statuses.begin(), outcome->statuses.end(),
                                      [](const auto& one) { return one.first >= 400 && one.first != 504; });
  return outcome->failed > 0 || is_refused ? 1 : 0;
}

}  // namespace enhanced_gptcache::cli
