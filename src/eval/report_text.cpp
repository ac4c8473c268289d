#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "eval/report.h"

namespace enhanced_gptcache::eval {
namespace {

std::string percent(double value) { return fmt::format("{:.1f} %", 100 * value); }
std::string percent(const Interval& interval) {
  return fmt::format("{:.1f}..{:.1f} %", 100 * interval.low, 100 * interval.high);
}
std::string decimals(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "-";
}

void add_counts(std::string& out, std::string_view name, const Counts& counts) {
  const auto only = [](uint64_t of, std::string text) {
    return of == 0 ? std::string("-") : std::move(text);
  };
  fmt::format_to(std::back_inserter(out), "{:<42} {:>6} {:>6} {:>8} {:>6} {:>6} {:>8} {:>14} {:>9} {:>7}\n",
                 name.substr(0, 42), counts.positives, counts.hits,
                 only(counts.positives, percent(counts.recall())), counts.negatives, counts.false_hits,
                 only(counts.negatives, percent(counts.false_hit_rate())),
                 only(counts.negatives, percent(wilson(counts.false_hits, counts.negatives))),
                 only(counts.hits + counts.false_hits, percent(counts.precision())),
                 only(counts.positives, fmt::format("{:.3f}", counts.f1())));
}

void add_reasons(std::string& out, std::string_view title, const std::map<std::string, uint64_t>& reasons) {
  std::vector<std::pair<uint64_t, std::string>> sorted;
  for (const auto& [reason, count] : reasons) sorted.emplace_back(count, reason);
  std::sort(sorted.rbegin(), sorted.rend());
  fmt::format_to(std::back_inserter(out), "{}:", title);
  for (const auto& [count, reason] : sorted)
    fmt::format_to(std::back_inserter(out), "  {} {}", reason, count);
  out += sorted.empty() ? "  none\n" : "\n";
}

void add_reliability(std::string& out, std::string_view title, const Reliability& reliability) {
  if (reliability.count == 0) return;
  fmt::format_to(std::back_inserter(out),
                 "{}: {} with a stated probability, expected calibration error {:.4f}\n", title,
                 reliability.count, reliability.expected_error());
  for (size_t i = 0; i < reliability.bins.size(); ++i) {
    const Reliability::Bin& bin = reliability.bins[i];
    if (bin.count == 0) continue;
    fmt::format_to(std::back_inserter(out), "  {:.1f}..{:.1f}  {:>6}  stated {:>7}  observed {:>7}  ({})\n",
                   0.1 * static_cast<double>(i), 0.1 * static_cast<double>(i + 1), bin.count,
                   percent(bin.stated_sum / static_cast<double>(bin.count)),
                   percent(share(bin.right, bin.count)), percent(wilson(bin.right, bin.count)));
  }
}

void add_latency(std::string& out, const std::vector<double>& latency_ms) {
  if (latency_ms.empty()) return;
  fmt::format_to(std::back_inserter(out),
                 "semantic lookups: {}, p50 {:.3f} ms, p95 {:.3f} ms, p99 {:.3f} ms\n", latency_ms.size(),
                 *percentile(latency_ms, 0.50), *percentile(latency_ms, 0.95), *percentile(latency_ms, 0.99));
}

void add_list(std::string& out, std::string_view title, const std::vector<Example>& list) {
  fmt::format_to(std::back_inserter(out), "{} ({}):\n", title, list.size());
  for (const Example& example : list) {
    const Answer& answer = example.answer;
    const std::string reason = answer.is_hit ? "served" : answer.reason;
    fmt::format_to(std::back_inserter(out),
                   "  {} {}\n    asked:  {}\n    stored: {}\n    similarity {:.4f}, probability {:.4f}, "
                   "threshold {:.4f} ({})\n",
                   reason, example.kind.empty() ? "" : "[" + example.kind + "]", example.asked,
                   example.stored, answer.similarity, answer.probability,
                   example.explanation.decision.threshold, example.explanation.policy);
    for (const CandidateReport& candidate : example.explanation.candidates) {
      if (candidate.query != example.stored) continue;
      out += "    checks:";
      for (const auto& [name, verdict] : candidate.checks)
        fmt::format_to(std::back_inserter(out), "  {}: {}", name, verdict);
      out += '\n';
      break;
    }
  }
}

}  // namespace

std::string to_text(const PairReport& report) {
  std::string out =
      fmt::format("{:<42} {:>6} {:>6} {:>8} {:>6} {:>6} {:>8} {:>14} {:>9} {:>7}\n", "kind", "same", "hits",
                  "recall", "other", "false", "rate", "95 %", "precision", "F1");
  for (const auto& [kind, counts] : report.kinds) add_counts(out, kind, counts);
  if (report.kinds.size() > 1) add_counts(out, "all kinds", report.total);
  const bool has_clean = report.clean.positives + report.clean.negatives > 0;
  if (has_clean) add_counts(out, "clean kinds", report.clean);
  fmt::format_to(std::back_inserter(out), "ROC AUC {}, recall at 90 % precision {}", decimals(report.auc),
                 decimals(report.recall_at_p90));
  if (has_clean)
    fmt::format_to(std::back_inserter(out), "; clean kinds: ROC AUC {}, recall at 90 % precision {}",
                   decimals(report.clean_auc), decimals(report.clean_recall_at_p90));
  out += '\n';
  add_reasons(out, "misses", report.miss_reasons);
  add_reasons(out, "of them with label 1", report.lost_reasons);
  add_reliability(out, "candidates", report.candidates);
  add_reliability(out, "served", report.served);
  add_latency(out, report.latency_ms);
  return out + to_text(report.examples);
}

std::string to_text(const StreamReport& report) {
  const uint64_t judged = report.true_hits + report.false_hits;
  const uint64_t not_right = report.false_hits + report.unjudged;
  std::string out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "events {}, possible hits {}", report.events, report.possible);
  if (report.left_out > 0)
    fmt::format_to(to, ", left out {} whose answer depends on more than the cluster", report.left_out);
  fmt::format_to(to, "\ntrue hits {}, false {}, unjudged {}; recall {} ({}), wrong per 100 requests {:.3f}\n",
                 report.true_hits, report.false_hits, report.unjudged, percent(report.recall()),
                 percent(wilson(report.true_hits, report.possible)), report.wrong_per_100());
  fmt::format_to(to,
                 "false among hits: {} ({}) with unjudged left out, {} ({}) with unjudged counted as false\n",
                 percent(share(report.false_hits, judged)), percent(wilson(report.false_hits, judged)),
                 percent(share(not_right, report.hits())), percent(wilson(not_right, report.hits())));
  fmt::format_to(to, "hit rate {}: exact {}, semantic {}\n", percent(share(report.hits(), report.events)),
                 percent(share(report.exact_hits, report.events)),
                 percent(share(report.hits() - report.exact_hits, report.events)));
  add_reasons(out, "misses", report.miss_reasons);
  add_reasons(out, "of them although the answer was there", report.lost_reasons);
  add_reliability(out, "candidates", report.candidates);
  add_reliability(out, "served", report.served);
  add_latency(out, report.latency_ms);
  return out + to_text(report.examples);
}

std::string to_text(const Examples& examples) {
  if (examples.limit == 0) return {};
  std::string out;
  add_list(out, "served although the answer is another", examples.served_wrong);
  add_list(out, "near misses that were refused", examples.refused_wrong);
  add_list(out, "lost hits", examples.refused_right);
  return out;
}

}  // namespace enhanced_gptcache::eval
