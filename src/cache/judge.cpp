#include "cache/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "cache/self_contained.h"
#include "match/guards.h"

namespace enhanced_gptcache::cache {
namespace {

match::Policy policy_of(const Options& options, const TauView& tau, std::optional<double> threshold) {
  return {options.decision, options.similarity_threshold, tau.tau, threshold};
}

ContextFingerprint fingerprint_of(store::EntryContext context) {
  return {context.turns, context.exact_hash, std::move(context.vector), std::move(context.anchors)};
}

}  // namespace

Judge::Judge(const Settings& settings, const Prompt& prompt, const TauView& tau,
             std::optional<double> threshold)
    : settings_(settings),
      prompt_(prompt),
      policy_(policy_of(settings.options, tau, threshold)),
      threshold_(match::threshold_of(policy_)) {}

ContextVerdict Judge::compare_conversations(const Record& record, bool may_embed) {
  const ContextFilter& filter = settings_.context_filter;
  const ContextFingerprint learned = fingerprint_of(record.view().context());
  if (!outline_) outline_ = filter.outline(prompt_.context);
  ContextVerdict verdict = filter.compare(learned, *outline_);
  if (!verdict.undecided || !may_embed) return verdict;
  if (!fingerprint_) fingerprint_ = filter.fingerprint(prompt_.context);
  if (!*fingerprint_) {
    verdict.reason = "the conversation could not be embedded";
    return verdict;
  }
  return filter.compare(learned, **fingerprint_);
}

ContextVerdict Judge::judge_context(const Record& record, bool may_embed) {
  if (record.view().context_turns() != 0 && !prompt_.context.empty())
    return compare_conversations(record, may_embed);
  if (record.view().context_turns() != 0)
    return {false, 0, "the entry was learned inside a conversation", false};
  if (prompt_.context.empty()) return {true, 0, {}, false};
  // Learned without a conversation: it answers what would be asked the same way without one.
  if (!is_self_contained_) is_self_contained_ = is_self_contained(prompt_.query);
  if (*is_self_contained_) return {true, 0, {}, false};
  return {false, 0, "the question leans on its conversation", false};
}

Verdict Judge::judge(const Candidate& candidate) {
  match::Candidate facts;
  facts.similarity = candidate.similarity;
  // A candidate that is too far anyway is not worth embedding the conversation for.
  ContextVerdict context = judge_context(*candidate.record, candidate.similarity >= threshold_);
  facts.context_equivalent = context.equivalent || context.undecided;
  if (context.equivalent)
    facts.refusing_guard =
        match::refusing_guard(prompt_.query, candidate.record->query(), settings_.guards_off);
  const match::Verdict verdict = match::decide(facts, policy_);
  std::string detail = facts.refusing_guard ? std::string(*facts.refusing_guard) : std::move(context.reason);
  return {verdict.serve && context.equivalent, verdict.reason, std::move(detail)};
}

CandidateReport Judge::report(const Candidate& candidate) {
  CandidateReport report;
  report.entry_id = candidate.record->id();
  report.query = candidate.record->query();
  report.similarity = candidate.similarity;
  report.probability = probability(candidate.similarity);
  const bool is_near = candidate.similarity >= threshold_;
  report.checks.emplace_back("threshold", is_near ? "pass" : fmt::format("below {:.4f}", threshold_));
  ContextVerdict context = judge_context(*candidate.record, true);
  report.divergence = context.divergence;
  report.checks.emplace_back("context", context.equivalent ? "pass" : std::move(context.reason));
  for (auto& [name, outcome] :
       match::all_checks(prompt_.query, candidate.record->query(), settings_.guards_off)) {
    report.checks.emplace_back("guard:" + name, std::move(outcome));
  }
  report.served = std::all_of(report.checks.begin(), report.checks.end(), [](const auto& check) {
    return check.second == "pass" || check.second == match::kGuardOff;
  });
  return report;
}

double Judge::probability(double similarity) { return match::probability_of(similarity); }

Nearest Judge::nearest(const Candidate& candidate) {
  return {candidate.similarity, probability(candidate.similarity), std::string(candidate.record->id())};
}

}  // namespace enhanced_gptcache::cache
