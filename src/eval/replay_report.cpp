#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "eval/replay.h"
#include "eval/report.h"

namespace enhanced_gptcache::eval {
namespace {

using nlohmann::ordered_json;

ordered_json side_json(const SideReport& side, uint64_t requests) {
  return {{"hits", side.hits},
          {"exact_hits", side.exact_hits},
          {"semantic_hits", side.hits - side.exact_hits},
          {"hit_rate", number(share(side.hits, requests))},
          {"hit_rate_95", to_json(wilson(side.hits, requests))},
          {"same_logged_answer", side.same_answer},
          {"other_logged_answer", side.other_answer},
          {"miss_reasons", side.miss_reasons}};
}

ordered_json outcome_json(const ReplayOutcome& outcome, const std::vector<TrafficRow>& rows) {
  ordered_json out = {{"hit", outcome.is_hit}, {"similarity", number(outcome.similarity)}};
  if (outcome.is_hit) {
    out["layer"] = outcome.is_exact ? "exact" : "semantic";
    out["answer_of"] = rows[outcome.source].question.text;
  } else {
    out["reason"] = outcome.reason;
  }
  return out;
}

std::string outcome_text(const ReplayOutcome& outcome, const std::vector<TrafficRow>& rows) {
  if (!outcome.is_hit) return fmt::format("miss ({}), nearest {:.4f}", outcome.reason, outcome.similarity);
  return fmt::format("hit ({}, {:.4f}): {}", outcome.is_exact ? "exact" : "semantic", outcome.similarity,
                     rows[outcome.source].question.text);
}

void add_side(std::string& out, std::string_view name, const SideReport& side, uint64_t requests) {
  const Interval interval = wilson(side.hits, requests);
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{:<10} hit rate {:.2f} % ({:.2f}..{:.2f} %): exact {}, semantic {}", name,
                 100 * share(side.hits, requests), 100 * interval.low, 100 * interval.high, side.exact_hits,
                 side.hits - side.exact_hits);
  if (side.same_answer + side.other_answer > 0)
    fmt::format_to(to, "; logged answers: {} the same, {} others", side.same_answer, side.other_answer);
  out += "\n           misses:";
  for (const auto& [reason, count] : side.miss_reasons) fmt::format_to(to, "  {} {}", reason, count);
  out += '\n';
}

}  // namespace

ordered_json to_json(const ReplayReport& report, const std::vector<TrafficRow>& rows) {
  ordered_json changed = ordered_json::object();
  for (const ChangeKind kind : {ChangeKind::kGained, ChangeKind::kLost, ChangeKind::kOther})
    changed[std::string(to_string(kind))] = report.changed[static_cast<size_t>(kind)];
  ordered_json examples = ordered_json::array();
  for (const ReplayChange& change : report.examples) {
    examples.push_back({{"change", to_string(change.kind)},
                        {"request", change.request + 1},
                        {"query", rows[change.request].question.text},
                        {"current", outcome_json(change.before, rows)},
                        {"candidate", outcome_json(change.after, rows)}});
  }
  return {{"requests", report.requests},
          {"current", side_json(report.before, report.requests)},
          {"candidate", side_json(report.after, report.requests)},
          {"changed", std::move(changed)},
          {"examples", std::move(examples)}};
}

std::string to_text(const ReplayReport& report, const std::vector<TrafficRow>& rows) {
  std::string out = fmt::format("requests {}\n", report.requests);
  add_side(out, "current", report.before, report.requests);
  add_side(out, "candidate", report.after, report.requests);
  auto to = std::back_inserter(out);
  out += "changed:";
  for (const ChangeKind kind : {ChangeKind::kGained, ChangeKind::kLost, ChangeKind::kOther})
    fmt::format_to(to, "  {} {}", to_string(kind), report.changed[static_cast<size_t>(kind)]);
  out += '\n';
  for (const ReplayChange& change : report.examples) {
    fmt::format_to(to, "  request {}, {}: {}\n    current:   {}\n    candidate: {}\n", change.request + 1,
                   to_string(change.kind), rows[change.request].question.text,
                   outcome_text(change.before, rows), outcome_text(change.after, rows));
  }
  return out;
}

}  // namespace enhanced_gptcache::eval
