#include "eval/replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/options_from_settings.h"
#include "cli/eval_session.h"
#include "eval/memo_embedder.h"
#include "eval/shadow_report.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

/// Vectors and scores of pairs come from the same files.
bool has_same_model(const config::Settings& a, const config::Settings& b) {
  const auto folder_a = app::find_model(a);
  const auto folder_b = app::find_model(b);
  return a.embedder.enabled == b.embedder.enabled && a.embedder.precision == b.embedder.precision &&
         a.embedder.kernel == b.embedder.kernel && folder_a && folder_b && *folder_a == *folder_b &&
         app::verifier_folder(a) == app::verifier_folder(b);
}

/// What the command line, and nothing else, says of the current configuration.
Common current_of(const Common& common, const ReplayArguments& wanted) {
  Common current = common;
  current.load.flags.clear();
  current.load.path.reset();
  if (!wanted.current.empty()) current.load.path = wanted.current;
  return current;
}
/// Without --config the flags are tried on top of the current file.
Common candidate_of(const Common& common, const ReplayArguments& wanted) {
  Common candidate = common;
  if (!candidate.load.path && !wanted.current.empty()) candidate.load.path = wanted.current;
  return candidate;
}

/// "cache.size_mb: 100 -> 200" for every key that differs.
std::vector<std::string> differences(const Session& before, const Session& after,
                                     const std::vector<std::string>& without) {
  std::vector<std::string> lines;
  for (const std::string& name : config::changed_keys(before.loaded->settings, after.loaded->settings)) {
    lines.push_back(fmt::format("{}: {} -> {}", name,
                                config::effective_value(*before.loaded, name).value_or("?"),
                                config::effective_value(*after.loaded, name).value_or("?")));
  }
  if (!without.empty()) lines.push_back(fmt::format("without guards: {}", fmt::join(without, ", ")));
  return lines;
}

int open_both(const Common& common, const ReplayArguments& wanted, Session& before, Session& after) {
  if (const int failed = open_session(current_of(common, wanted), {}, before); failed != 0) return failed;
  before.embedder = eval::remembering(before.embedder);
  // The candidate's settings say whether the model may be shared, and they are known once it is open.
  after.embedder = before.embedder;
  const Common candidate = candidate_of(common, wanted);
  if (const int failed = open_session(candidate, wanted, after); failed != 0) return failed;
  if (has_same_model(before.loaded->settings, after.loaded->settings)) return 0;
  after = {};
  return open_session(candidate, wanted, after);
}

int report_shadow(const Common& common, const ReplayArguments& wanted) {
  Session session;
  if (const int failed = open_session(candidate_of(common, wanted), wanted, session); failed != 0)
    return failed;
  const auto rows = eval::read_traffic(wanted.log, wanted.limit);
  if (!rows) return report_error(rows.error());
  report_skipped(wanted.log, rows->lines);
  const auto report = eval::shadow({session.options, session.embedder}, rows->rows, wanted.examples);
  if (!report) return report_error(report.error());
  ordered_json result = {{"command", "replay --shadow"},
                         {"log", wanted.log},
                         {"rows", rows->lines.used},
                         {"skipped", rows->lines.skipped},
                         {"settings", session_json(session)}};
  result.update(eval::to_json(*report, rows->rows));
  return deliver(wanted, result, session_text(session) + "\n" + eval::to_text(*report, rows->rows));
}

}  // namespace

int replay(const Common& common, const ReplayArguments& wanted) {
  if (wanted.shadow) return report_shadow(common, wanted);
  const bool has_candidate = common.load.path || !common.load.flags.empty() || !wanted.policy.empty() ||
                             wanted.threshold || !wanted.without.empty();
  if (!has_candidate) {
    fmt::print(stderr,
               "error: name the candidate: --config FILE, or settings such as --cache.decision=static\n");
    return 2;
  }
  Session before;
  Session after;
  if (const int failed = open_both(common, wanted, before, after); failed != 0) return failed;
  const auto rows = eval::read_traffic(wanted.log, wanted.limit);
  if (!rows) return report_error(rows.error());
  report_skipped(wanted.log, rows->lines);
  const auto report = eval::replay({before.options, before.embedder}, {after.options, after.embedder},
                                   rows->rows, wanted.examples);
  if (!report) return report_error(report.error());
  const std::vector<std::string> changed = differences(before, after, wanted.without);
  ordered_json result = {{"command", "replay"},
                         {"log", wanted.log},
                         {"rows", rows->lines.used},
                         {"skipped", rows->lines.skipped},
                         {"current_settings", session_json(before)},
                         {"candidate_settings", session_json(after)},
                         {"differences", changed}};
  result.update(eval::to_json(*report, rows->rows));
  std::string text = "current:   " + session_text(before) + "candidate: " + session_text(after);
  for (const std::string& line : changed) text += "  " + line + "\n";
  if (changed.empty()) text += "  no setting differs\n";
  return deliver(wanted, result, text + "\n" + eval::to_text(*report, rows->rows));
}

}  // namespace enhanced_gptcache::cli
