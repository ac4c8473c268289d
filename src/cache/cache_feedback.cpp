// Feedback on decisions, and the explanation of one.

#include <cstring>

#include "cache/cache_impl.h"
#include "cache/eligibility.h"
#include "match/verifier.h"

namespace enhanced_gptcache::cache {
namespace {

std::string tau_user_of(const Decision& decision) {
  std::string user(sizeof decision.tau_user, '\0');
  std::memcpy(user.data(), decision.tau_user.data(), user.size());
  return user;
}

}  // namespace

/// Only semantic hits say how right the decision is, served or withheld.
void CacheImpl::learn_label(const Decision& decision, const RecordPtr& entry, const Feedback& feedback) {
  if (decision.kind == Decision::Kind::kExactHit) return;
  const Count first = feedback.correct ? Count::kLabelRight0 : Count::kLabelWrong0;
  counters_.add(static_cast<Count>(static_cast<size_t>(first) + static_cast<size_t>(feedback.source)));
  const auto settings = settings_.get();
  // Feedback that names an entry only does not say what was stated when it was served.
  const bool is_stated = decision.partition != base::Hash128{};
  if (is_stated)
    label_scores_.add(match::probability_of_logit(decision.logit), feedback.source, feedback.correct);
  const bool is_verified = settings->decision() == DecisionPolicy::kVerified;
  if (!is_stated || !is_verified || !settings->options.error_budget) return;
  const uint64_t entry_key = entry == nullptr ? 0 : Budgets::entry_key(entry->exact_key());
  budgets_.label(
      {decision.tenant, decision.partition, entry_key, decision.logit, feedback.correct, feedback.source},
      settings->options.tau.target_error_rate);
}

FeedbackResult CacheImpl::judge_hit(const Decision& decision, const RecordPtr& entry,
                                    const Feedback& feedback) {
  const std::string tau_user = tau_user_of(decision);
  learn_label(decision, entry, feedback);
  if (!feedback.correct) {
    const double tau = tau_.update(tau_user, TauOutcome::kFalseHit);
    // Nobody was given the entry's answer, which may be right for its own question.
    if (decision.kind == Decision::Kind::kWithheld) return {tau, "recorded"};
    if (entry != nullptr) {
      generations_.advance(entry->exact_key());
      entries_.remove({&entry, 1}, Count::kRemovals);
    }
    return {tau, "removed"};
  }
  // That the very same request got the right answer says nothing about how near another may be.
  if (decision.kind == Decision::Kind::kExactHit) return {tau_.tau(tau_user).tau, "confirmed"};
  return {tau_.update(tau_user, TauOutcome::kConfirmedHit), "confirmed"};
}

Result<FeedbackResult> CacheImpl::feedback_on_decision(const Feedback& feedback) {
  const std::optional<Decision> decision = decisions_.find(feedback.request_id);
  // Another tenant's decision looks exactly like one that never was.
  if (!decision || decision->tenant != keys_.tenant(feedback.tenant)) {
    return fail(ErrorCode::kNotFound, "request_id names no recent decision");
  }
  if (!feedback.missed_entry_id.empty() && find_owned(feedback.tenant, feedback.missed_entry_id) == nullptr) {
    return fail(ErrorCode::kNotFound, "missed_entry_id names no entry");
  }
  const std::string user = tau_user_of(*decision);
  const bool is_miss = decision->kind == Decision::Kind::kMiss;
  // The answer that this miss led to may still be on its way: it is not to be learned.
  if (is_miss && !feedback.correct) generations_.advance(keys_.request(feedback.request_id));
  const bool is_lost_hit = is_miss && !feedback.missed_entry_id.empty();
  const auto may_judge = [&] {
    return feedback.source == LabelSource::kFeedback ? decisions_.claim(feedback.request_id)
                                                     : !decisions_.is_claimed(feedback.request_id);
  };
  if ((is_miss && !is_lost_hit) || !may_judge()) {
    return FeedbackResult{tau_.tau(user).tau, "none"};
  }
  if (is_lost_hit) {
    if (decision->partition != base::Hash128{})
      label_scores_.add_lost(match::probability_of_logit(decision->logit));
    return FeedbackResult{tau_.update(user, TauOutcome::kLostHit), "recorded_lost_hit"};
  }
  return judge_hit(*decision, entries_.find_id(decision->entry_id), feedback);
}

Result<FeedbackResult> CacheImpl::feedback_on_entry(const Feedback& feedback) {
  const RecordPtr entry = find_owned(feedback.tenant, feedback.entry_id);
  if (entry == nullptr) return fail(ErrorCode::kNotFound, "entry_id names no entry");
  Decision decision;
  decision.kind = Decision::Kind::kSemanticHit;
  decision.tenant = keys_.tenant(feedback.tenant);
  const std::string user = keys_.tau_user(feedback.tenant, feedback.user);
  std::memcpy(decision.tau_user.data(), user.data(), user.size());
  return judge_hit(decision, entry, feedback);
}

Result<FeedbackResult> CacheImpl::feedback(const Feedback& feedback) {
  if (!feedback.request_id.empty()) return feedback_on_decision(feedback);
  if (!feedback.entry_id.empty()) return feedback_on_entry(feedback);
  return fail(ErrorCode::kInvalidArgument, "feedback needs request_id or entry_id");
}

Explanation::Required CacheImpl::required_of(const Query& query, const Judge& judge) const {
  const base::Hash128 tenant = keys_.tenant(query.prompt.tenant);
  const match::BudgetView budget = budgets_.view(tenant);
  Explanation::Required required;
  required.probability = match::probability_of_logit(match::required_logit(judge.policy()));
  required.target_error_rate = query.settings->options.tau.target_error_rate;
  required.tau_shift = match::tau_shift(judge.policy());
  if (query.settings->options.error_budget) {
    required.tenant_shift = budgets_.tenant_shift(tenant);
    required.partition_shift = budgets_.partition_shift(tenant, query.partition);
  }
  for (size_t i = 0; i < kLabelSources; ++i) {
    required.labels_right += budget.right[i];
    required.labels_wrong += budget.wrong[i];
  }
  required.error_estimate = budget.error_estimate;
  required.error_low = budget.error_low;
  required.error_high = budget.error_high;
  return required;
}

Result<Explanation> CacheImpl::explain(const Prompt& prompt, const LookupOptions& options) {
  LookupOptions uncounted = options;
  uncounted.counted = false;
  Query query = query_of(prompt, uncounted);
  query.partition = keys_.partition(prompt);
  const TauView tau = tau_.tau(keys_.tau_user(prompt.tenant, prompt.user));
  Explanation explanation;
  explanation.partition = query.partition.hex();
  explanation.partition_entries = entries_.partition_size(query.partition);
  explanation.policy = to_string(query.settings->decision());
  explanation.tau = tau.tau;
  explanation.tau_source = tau.source;
  if (embedder_ != nullptr) explanation.text = embedder_->inspect(prompt.query);
  EGPTC_TRY(explanation.decision, lookup(prompt, uncounted));
  if (embedder_ == nullptr || !options.semantic) return explanation;
  if (!ineligibility(prompt, explanation.text, query.settings->options.unknown_token_share_max).empty()) {
    return explanation;
  }
  EGPTC_TRY(const Embedding embedding, embedder_->embed(prompt.query));
  Judge judge(*query.settings, embedder_.get(), prompt, tau, options.threshold, learned_shifts(query));
  if (query.settings->decision() == DecisionPolicy::kVerified)
    explanation.required = required_of(query, judge);
  for (const Candidate& candidate :
       candidates(query, judge, embedding.values, query.settings->options.candidates)) {
    CandidateReport report = judge.report(candidate);
    report.served =
        explanation.decision.entry != nullptr && explanation.decision.entry->id() == report.entry_id;
    explanation.candidates.push_back(std::move(report));
  }
  return explanation;
}

}  // namespace enhanced_gptcache::cache
