#include "cli/eval_session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "app/options_from_settings.h"
#include "base/cpu_budget.h"
#include "base/log.h"
#include "enhanced_gptcache/enhanced_cache.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

/// What is wrong with --policy; empty for nothing. The settings table knows the values.
std::string policy_problem(const std::string& policy) {
  const config::KeySpec& spec = config::keys()[config::find_key("cache.decision")];
  const auto has = [&](std::string_view words) {
    return fmt::format(" {} ", words).find(fmt::format(" {} ", policy)) != std::string::npos;
  };
  if (policy.empty() || has(spec.choices)) return {};
  return fmt::format("--policy {} {}; it must be {}", policy,
                     has(spec.later) ? "is not built yet in this version" : "is no decision policy",
                     config::allowed_values(spec));
}

int open_embedder(Session& session) {
  const config::Settings& settings = session.loaded->settings;
  if (!settings.embedder.enabled) {
    fmt::print(stderr, "warning: embedder.enabled is false: only the exact layer is measured\n");
    return 0;
  }
  auto folder = app::find_model(settings);
  if (!folder) return report_error(folder.error());
  const auto budget = app::split_threads(settings, session.threads);
  auto embedder = Embedder::open(app::embedder_options(settings, budget, *folder));
  if (!embedder) return report_error(embedder.error());
  session.embedder = std::move(*embedder);
  return 0;
}

/// Without a verifier, by choice, another policy decides: the result must name it. One that cannot be read
/// leaves exact hits only, and there is nothing to measure.
int settle_policy(Session& session) {
  const auto cache = EnhancedCache::open(session.options, session.embedder);
  if (!cache) return report_error(cache.error());
  const auto explanation = (*cache)->explain(make_prompt("which policy decides"));
  if (!explanation) return report_error(explanation.error());
  session.policy = explanation->policy;
  const std::string problem = (*cache)->stats().verifier_problem;
  if (session.policy == "verified" && session.embedder != nullptr && !problem.empty())
    return report_error(
        {ErrorCode::kNotFound, "the verifier cannot be used, only exact hits would be served: " + problem});
  const std::string& configured = session.loaded->settings.cache.decision;
  if (session.policy == configured) return 0;
  fmt::print(stderr, "warning: cache.decision is {}, but {} decides\n", configured, session.policy);
  session.options.decision = DecisionPolicy::kAdaptive;
  return 0;
}

}  // namespace

int report_error(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return 1;
}

int open_session(const Common& common, const MeasureArguments& wanted, Session& session) {
  if (const std::string problem = policy_problem(wanted.policy); !problem.empty()) {
    fmt::print(stderr, "error: {}\n", problem);
    return 2;
  }
  Common own = common;
  if (!wanted.policy.empty()) own.load.flags.push_back("cache.decision=" + wanted.policy);
  if (wanted.threshold)
    own.load.flags.push_back(fmt::format("cache.similarity_threshold={}", *wanted.threshold));
  int exit_code = 1;
  session.loaded = load_or_report(own, exit_code);
  if (session.loaded == nullptr) return exit_code;
  const config::Settings& settings = session.loaded->settings;
  base::set_log_level(base::LogLevel::kWarning);  // the measured cache's own notes say nothing to the reader
  session.options = app::cache_options(settings);
  session.options.guards_off.insert(session.options.guards_off.end(), wanted.without.begin(),
                                    wanted.without.end());
  session.options.pca.model_path.clear();  // what a server has learned stays untouched
  session.options.state_folder.clear();
  session.threads = wanted.threads > 0
                        ? wanted.threads
                        : base::usable_cores(static_cast<size_t>(settings.resources.max_cpu_cores));
  // The same check that opening a cache makes, before the model is read.
  Options checked = session.options;
  checked.decision = DecisionPolicy::kStatic;  // which needs no verifier
  if (auto opened = EnhancedCache::open(checked, nullptr); !opened) {
    report_error(opened.error());
    return 2;
  }
  if (session.embedder == nullptr) {
    if (const int failed = open_embedder(session); failed != 0) return failed;
  }
  return settle_policy(session);
}

void warn_if_not_serving(const Session& session) {
  const auto& cache = session.loaded->settings.cache;
  if (cache.mode != "serve" || cache.serve_percent < 100) {
    fmt::print(stderr,
               "warning: cache.mode is {} and cache.serve_percent {}: what is held back counts as missed; "
               "--cache.mode=serve --cache.serve_percent=100 measure the decision alone\n",
               cache.mode, cache.serve_percent);
  }
}

ordered_json session_json(const Session& session) {
  const config::Settings& settings = session.loaded->settings;
  return {
      {"version", EGPTC_VERSION},
      {"policy", session.policy},
      {"verifier", session.policy == "verified" ? settings.cache.verifier : "off"},
      {"similarity_threshold", settings.cache.similarity_threshold},
      {"initial_tau", settings.federated.initial_tau},
      {"target_error_rate", settings.cache.target_error_rate},
      {"guards_off", session.options.guards_off},
      {"settings_file", session.loaded->path.empty() ? ordered_json() : ordered_json(session.loaded->path)},
      {"model", settings.context.embedding_model},
      {"model_epoch", session.embedder == nullptr ? "" : session.embedder->model_epoch()},
      {"kernel", session.embedder == nullptr ? "" : session.embedder->kernel_name()},
      {"threads", session.threads}};
}

std::string session_text(const Session& session) {
  const config::Settings& settings = session.loaded->settings;
  const auto& guards_off = session.options.guards_off;
  return fmt::format("policy {}, similarity floor {}, initial tau {}, target error {}{}\n", session.policy,
                     settings.cache.similarity_threshold, settings.federated.initial_tau,
                     settings.cache.target_error_rate,
                     guards_off.empty() ? "" : fmt::format(", without {}", fmt::join(guards_off, " ")));
}

void report_skipped(const std::string& path, const eval::LineOutcome& lines) {
  for (const eval::SkippedLine& line : lines.first_skipped)
    fmt::print(stderr, "{}:{}: {}; skipped\n", path, line.line, line.reason);
  if (lines.skipped > lines.first_skipped.size())
    fmt::print(stderr, "{}: {} more lines skipped\n", path, lines.skipped - lines.first_skipped.size());
}

int write_file(std::string_view flag, const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (file) return 0;
  fmt::print(stderr, "error: {}: cannot write {}\n", flag, path);
  return 1;
}

int deliver(const MeasureArguments& wanted, const ordered_json& result, const std::string& text) {
  // Questions come from files and may hold anything that is JSON, so lone surrogates too.
  const std::string json = result.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  fmt::print("{}", wanted.as_json ? json : text);
  return wanted.output.empty() ? 0 : write_file("--output", wanted.output, json);
}

}  // namespace enhanced_gptcache::cli
