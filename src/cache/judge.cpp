#include "cache/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "cache/self_contained.h"
#include "match/guards.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr double kNoOdds = -std::numeric_limits<double>::infinity();

match::Policy policy_of(const Settings& settings, const TauView& tau, std::optional<double> threshold,
                        double budget_shift) {
  const Options& options = settings.options;
  match::Policy policy;
  policy.decision = settings.decision();
  policy.similarity_threshold = options.similarity_threshold;
  policy.initial_tau = options.tau.initial_tau;
  policy.tau = options.tau.enabled ? tau.tau : policy.initial_tau;
  if (policy.decision != DecisionPolicy::kVerified) policy.tau = tau.tau;
  policy.target_error_rate = options.tau.target_error_rate;
  policy.raise = threshold;
  policy.budget_shift = budget_shift;
  return policy;
}

ContextFingerprint fingerprint_of(store::EntryContext context) {
  return {context.turns, context.exact_hash, std::move(context.vector), std::move(context.anchors)};
}

}  // namespace

Judge::Judge(const Settings& settings, const Embedder* embedder, const Prompt& prompt, const TauView& tau,
             std::optional<double> threshold, LearnedShifts learned)
    : settings_(settings),
      embedder_(embedder),
      prompt_(prompt),
      policy_(policy_of(settings, tau, threshold, learned.shift)),
      threshold_(match::threshold_of(policy_)),
      learned_(std::move(learned)) {}

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
  if (!is_self_contained_)
    is_self_contained_ = is_self_contained(prompt_.query) && is_plain_conversation(prompt_.context);
  if (*is_self_contained_) return {true, 0, {}, false};
  return {false, 0, "the question leans on its conversation, or the conversation may change its answer",
          false};
}

Verdict Judge::judge(const Candidate& candidate) {
  match::Candidate facts;
  facts.similarity = candidate.similarity;
  // A candidate that is too far anyway is not worth embedding the conversation for.
  ContextVerdict context = judge_context(*candidate.record, candidate.similarity >= threshold_);
  facts.context_equivalent = context.equivalent || context.undecided;
  if (context.equivalent)
    facts.refusing_guard =
        match::refusing_guard(prompt_words(), match::Words(candidate.record->query()), settings_.guards_off);
  const match::Verdict verdict = match::decide(facts, policy_);
  std::string detail = facts.refusing_guard ? std::string(*facts.refusing_guard) : std::move(context.reason);
  return {verdict.serve && context.equivalent, verdict.reason, std::move(detail)};
}

const match::Words& Judge::prompt_words() {
  if (!words_) words_.emplace(prompt_.query);
  return *words_;
}

const match::History& Judge::history() {
  if (!history_) {
    std::vector<std::string_view> turns;
    for (const Turn& turn : prompt_.context) turns.push_back(turn.content);
    history_.emplace(turns);
  }
  return *history_;
}

double Judge::search_floor() const {
  const double floor = policy_.similarity_threshold;
  const bool is_lower =
      policy_.decision == DecisionPolicy::kVerified && !policy_.raise && !prompt_.context.empty();
  return is_lower ? 2 * floor - 1 : floor;
}

double Judge::similarity_of(const Candidate& candidate, const ContextVerdict& context,
                            bool is_conversation) const {
  if (!is_conversation || policy_.raise) return candidate.similarity;
  return std::max(candidate.similarity, (candidate.similarity + 1 - context.divergence) / 2);
}

const match::VerifierStage& Judge::stage(const Examined& examined) const {
  return examined.is_conversation ? settings_.verifier->conversation() : settings_.verifier->plain();
}

void Judge::weigh(Examined& examined) {
  const match::Words words(examined.candidate.record->query());
  const Candidate& candidate = examined.candidate;
  examined.features = match::pair_features(prompt_words(), words, candidate.similarity, settings_.guards_off);
  examined.features[static_cast<size_t>(match::PairFeature::kMargin)] =
      match::margin_over(candidate.similarity, candidate.nearest_other);
  if (examined.is_conversation) match::fill_history(prompt_words(), words, history(), examined.features);
  examined.facts.refusing_guard = match::refusing_guard(examined.features);
  if (learned_.entry) examined.facts.evidence = learned_.entry(*examined.candidate.record);
  examined.facts.logit = examined.stated = stage(examined).cheap.logit(examined.features);
  examined.is_grey = stage(examined).is_grey(examined.facts.logit);
  examined.is_weighed = true;
}

Examined Judge::examine(const Candidate& candidate) {
  Examined examined;
  examined.candidate = candidate;
  const bool are_conversations = candidate.record->view().context_turns() != 0 && !prompt_.context.empty();
  const bool may_embed = are_conversations || candidate.similarity >= threshold_;
  ContextVerdict context = judge_context(*candidate.record, may_embed);
  examined.is_conversation = are_conversations && context.equivalent;
  examined.facts.similarity = similarity_of(candidate, context, examined.is_conversation);
  examined.facts.context_equivalent = context.equivalent;
  examined.context_reason = std::move(context.reason);
  if (context.equivalent) weigh(examined);
  return examined;
}

bool Judge::may_pass(const Examined& examined) const {
  match::Candidate at_best = examined.facts;
  at_best.logit = -kNoOdds;
  return match::decide(at_best, policy_).serve;
}

Verdict Judge::verdict(const Examined& examined) const {
  const match::Verdict verdict = match::decide(examined.facts, policy_);
  std::string detail;
  if (verdict.reason == MissReason::kContext) detail = examined.context_reason;
  if (verdict.reason == MissReason::kGuard) detail = *examined.facts.refusing_guard;
  return {verdict.serve, verdict.reason, std::move(detail)};
}

/// Both texts as a whole, else it would judge what it does not see.
bool Judge::fit_pair_encoder(std::string_view asked, std::string_view candidate) const {
  const size_t most = embedder_->pair_tokens_per_text();
  return embedder_->inspect(asked).tokens <= most && embedder_->inspect(candidate).tokens <= most;
}

bool Judge::ask_pair_encoder(Examined& examined) {
  examined.facts.logit = kNoOdds;
  const std::string mark(examined.is_conversation ? match::kConversationMark : std::string_view());
  const std::string asked = mark + prompt_.query;
  const std::string text = mark + std::string(examined.candidate.record->query());
  if (!fit_pair_encoder(asked, text)) return false;
  const std::string_view view = text;
  ++pairs_read_;
  const auto scores = embedder_->pair_scores(asked, {&view, 1});
  if (!scores) {
    base::log_warning("the pair encoder failed, its candidate is refused: {}", scores.error().message);
    return true;
  }
  examined.features[static_cast<size_t>(match::PairFeature::kPairLogit)] = scores->front();
  examined.facts.logit = examined.stated = stage(examined).full.logit(examined.features);
  return true;
}

Examined* Judge::likeliest(std::span<Examined> examined, size_t pairs_max) {
  std::vector<Examined*> passing;
  for (Examined& one : examined) {
    if (may_pass(one)) passing.push_back(&one);
  }
  if (passing.empty()) return nullptr;
  const auto likelier = [](const Examined* a, const Examined* b) {
    return a->facts.logit - a->facts.evidence > b->facts.logit - b->facts.evidence;
  };
  std::stable_sort(passing.begin(), passing.end(), likelier);
  for (Examined* one : passing) {
    if (one->is_grey && pairs_max > 0) {
      if (ask_pair_encoder(*one)) --pairs_max;
    } else if (one->is_grey) {
      one->facts.logit = kNoOdds;
    }
    if (match::decide(one->facts, policy_).serve) return one;
  }
  return *std::min_element(passing.begin(), passing.end(), likelier);
}

void Judge::report_verified(Examined& examined, CandidateReport& report) {
  // What the conversation excuses is no refusal, though the guard alone would say so.
  const auto first = static_cast<size_t>(match::PairFeature::kGuardNumbers);
  const auto guards = match::guards();
  for (auto& [name, outcome] : report.checks) {
    for (size_t i = 0; i < guards.size(); ++i) {
      const bool is_refusal = outcome != "pass" && outcome != match::kGuardOff;
      if (name == "guard:" + std::string(guards[i].name) && is_refusal && examined.features[first + i] == 0)
        outcome = "pass";
    }
  }
  // As in the decision: of what something else refuses, the encoder is not asked.
  const bool is_read = !examined.is_grey || !may_pass(examined) || ask_pair_encoder(examined);
  const double required = match::required_logit(policy_) + examined.facts.evidence;
  report.evidence_shift = examined.facts.evidence;
  report.probability = match::probability_of_logit(examined.stated);
  const double bar = match::probability_of_logit(required);
  std::string outcome = "pass";
  if (!is_read)
    outcome =
        fmt::format("too long for the pair encoder (probability {:.4f} without it)", report.probability);
  else if (!(examined.facts.logit >= required))
    outcome = fmt::format("probability {:.4f} below {:.4f}", report.probability, bar);
  report.checks.emplace_back("verifier", std::move(outcome));
}

CandidateReport Judge::report(const Candidate& candidate) {
  const bool is_verified = policy_.decision == DecisionPolicy::kVerified;
  Examined examined = is_verified ? examine(candidate) : Examined{};
  if (is_verified && !examined.is_weighed) weigh(examined);
  CandidateReport report;
  report.entry_id = candidate.record->id();
  report.query = candidate.record->query();
  report.similarity = is_verified ? examined.facts.similarity : candidate.similarity;
  report.probability = probability(candidate.similarity);
  const bool is_near = report.similarity >= threshold_;
  report.checks.emplace_back("threshold", is_near ? "pass" : fmt::format("below {:.4f}", threshold_));
  ContextVerdict context = judge_context(*candidate.record, true);
  report.divergence = context.divergence;
  report.checks.emplace_back("context", context.equivalent ? "pass" : std::move(context.reason));
  for (auto& [name, outcome] :
       match::all_checks(prompt_.query, candidate.record->query(), settings_.guards_off)) {
    report.checks.emplace_back("guard:" + name, std::move(outcome));
  }
  if (is_verified) report_verified(examined, report);
  report.served = std::all_of(report.checks.begin(), report.checks.end(), [](const auto& check) {
    return check.second == "pass" || check.second == match::kGuardOff;
  });
  return report;
}

double Judge::probability(double similarity) { return match::probability_of(similarity); }

Nearest Judge::nearest(const Candidate& candidate) {
  return {candidate.similarity, probability(candidate.similarity), std::string(candidate.record->id())};
}

Nearest Judge::nearest(Examined& examined) {
  if (!examined.is_weighed) weigh(examined);
  return {examined.facts.similarity, match::probability_of_logit(examined.stated),
          std::string(examined.candidate.record->id())};
}

}  // namespace enhanced_gptcache::cache
