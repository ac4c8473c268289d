// Feedback on decisions, and the explanation of one.

#include <algorithm>
#include <array>
#include <cstring>

#include "cache/cache_impl.h"
#include "cache/eligibility.h"
#include "cache/entry_access.h"
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

void CacheImpl::quarantine(const RecordPtr& entry) {
  if (entry == nullptr) return;
  generations_.advance(entry->exact_key());
  entries_.remove({&entry, 1}, Count::kRemovals);
}

FeedbackResult CacheImpl::judge_hit(const Decision& decision, const RecordPtr& entry,
                                    const Feedback& feedback) {
  const std::string tau_user = tau_user_of(decision);
  learn_label(decision, entry, feedback);
  if (!feedback.correct) {
    const double tau = tau_.update(tau_user, TauOutcome::kFalseHit, feedback.tenant);
    // Nobody was given the entry's answer, which may be right for its own question.
    if (decision.kind == Decision::Kind::kWithheld) return {tau, "recorded"};
    quarantine(entry);
    return {tau, "removed"};
  }
  // That the very same request got the right answer says nothing about how near another may be.
  if (decision.kind == Decision::Kind::kExactHit)
    return {tau_.tau(tau_user, feedback.tenant).tau, "confirmed"};
  return {tau_.update(tau_user, TauOutcome::kConfirmedHit, feedback.tenant), "confirmed"};
}

/// A verdict on no answer that this caller is known to have been served. One that an answer is wrong is
/// believed as far as removing it; nothing else is, or whoever posts most decides for everybody.
FeedbackResult CacheImpl::judge_untied(const RecordPtr& entry, const Feedback& feedback,
                                       const std::string& tau_user) {
  const double tau = tau_.tau(tau_user, feedback.tenant).tau;
  if (feedback.correct || entry == nullptr) return {tau, "none"};
  quarantine(entry);
  return {tau, "removed"};
}

/// The checks speak for whoever asked. An application speaks for every user it asked for with its key: an id
/// that nobody can guess is in its hands because it was given the answer.
bool CacheImpl::is_callers_own(const Decision& decision, const Feedback& feedback) const {
  if (feedback.source != LabelSource::kFeedback) return true;
  if (tau_user_of(decision) == keys_.tau_user(feedback.tenant, feedback.user)) return true;
  const uint64_t principal = feedback.principal.empty() ? 0 : keys_.tenant(feedback.principal).high;
  const bool is_application = feedback.user.empty() || feedback.user == feedback.principal;
  return is_application && decision.principal == principal;
}

Result<FeedbackResult> CacheImpl::feedback_on_decision(const Feedback& feedback) {
  const std::optional<Decision> decision = decisions_.find(feedback.request_id);
  // Another tenant's decision looks exactly like one that never was.
  if (!decision || decision->tenant != keys_.tenant(feedback.tenant)) {
    return fail(ErrorCode::kNotFound, "request_id names no recent decision");
  }
  const RecordPtr missed =
      feedback.missed_entry_id.empty() ? nullptr : find_owned(feedback.tenant, feedback.missed_entry_id);
  if (!feedback.missed_entry_id.empty() && missed == nullptr) {
    return fail(ErrorCode::kNotFound, "missed_entry_id names no entry");
  }
  const std::string user = tau_user_of(*decision);
  const bool is_miss = decision->kind == Decision::Kind::kMiss;
  const bool is_own = is_callers_own(*decision, feedback);
  if (!is_own) {
    const RecordPtr answer = entries_.find_id(decision->entry_id);
    if (answer != nullptr && !is_within_reach(*answer, {feedback.user, feedback.principal}))
      return fail(ErrorCode::kNotFound, "request_id names no recent decision");
  }
  // The answer that this miss led to may still be on its way: it is not to be learned.
  if (is_miss && !feedback.correct) generations_.advance(keys_.request(feedback.request_id));
  const RecordPtr hit = is_miss ? nullptr : entries_.find_id(decision->entry_id);
  if (!is_own) return judge_untied(decision->is_hit() ? hit : nullptr, feedback, user);
  const bool is_lost_hit = is_miss && missed != nullptr &&
                           std::find(decision->candidates.begin(), decision->candidates.end(),
                                     candidate_tag(missed->id_hash())) != decision->candidates.end();
  const auto may_judge = [&] {
    return feedback.source == LabelSource::kFeedback ? decisions_.claim(feedback.request_id)
                                                     : !decisions_.is_claimed(feedback.request_id);
  };
  if ((is_miss && !is_lost_hit) || !may_judge()) {
    return FeedbackResult{tau_.tau(user, feedback.tenant).tau, "none"};
  }
  if (is_lost_hit) {
    if (decision->partition != base::Hash128{})
      label_scores_.add_lost(match::probability_of_logit(decision->logit));
    return FeedbackResult{tau_.update(user, TauOutcome::kLostHit, feedback.tenant), "recorded_lost_hit"};
  }
  return judge_hit(*decision, hit, feedback);
}

Result<FeedbackResult> CacheImpl::feedback_on_entry(const Feedback& feedback) {
  const RecordPtr entry = find_owned(feedback.tenant, feedback.entry_id);
  if (entry == nullptr) return fail(ErrorCode::kNotFound, "entry_id names no entry");
  const std::string user = keys_.tau_user(feedback.tenant, feedback.user);
  std::array<uint64_t, 2> tau_user{};
  std::memcpy(tau_user.data(), user.data(), user.size());
  const auto served = decisions_.find_unjudged_hit(tau_user, entry->id_hash());
  const std::optional<Decision> decision = served ? decisions_.find(*served) : std::nullopt;
  if (!decision || !decisions_.claim(*served)) return judge_untied(entry, feedback, user);
  return judge_hit(*decision, entry, feedback);
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
  query.partition = keys_.partition(query.scoped);
  const TauView tau = tau_.tau(keys_.tau_user(prompt.tenant, prompt.user), prompt.tenant);
  Explanation explanation;
  explanation.partition = query.partition.hex();
  explanation.partition_entries = entries_.partition_size(query.partition);
  explanation.policy = to_string(query.settings->decision());
  explanation.tau = tau.tau;
  explanation.tau_source = tau.source;
  if (embedder_ != nullptr) explanation.text = embedder_->inspect(prompt.query);
  EGPTC_TRY(explanation.decision, lookup(prompt, uncounted));
  decisions_.claim(explanation.decision.request_id);  // nobody was served, so there is nothing to judge
  if (embedder_ == nullptr || !options.semantic || query.settings->is_exact_only()) return explanation;
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
