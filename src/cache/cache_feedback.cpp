// Feedback on decisions, and the explanation of one.

#include "cache/cache_impl.h"
#include "cache/eligibility.h"

namespace enhanced_gptcache::cache {
namespace {

std::string tau_user_of(const Decision& decision) {
  std::string user(sizeof decision.tau_user, '\0');
  std::memcpy(user.data(), decision.tau_user.data(), user.size());
  return user;
}

}  // namespace

FeedbackResult CacheImpl::judge_hit(const std::string& tau_user, Decision::Kind kind, const RecordPtr& entry,
                                    bool correct) {
  if (!correct) {
    if (entry != nullptr) {
      generations_.advance(entry->exact_key());
      entries_.remove({&entry, 1}, Count::kRemovals);
    }
    return {tau_.update(tau_user, TauOutcome::kFalseHit), "removed"};
  }
  // That the very same request got the right answer says nothing about how near another may be.
  if (kind == Decision::Kind::kExactHit) return {tau_.tau(tau_user).tau, "confirmed"};
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
  if ((is_miss && !is_lost_hit) || !decisions_.claim(feedback.request_id)) {
    return FeedbackResult{tau_.tau(user).tau, "none"};
  }
  if (is_lost_hit) return FeedbackResult{tau_.update(user, TauOutcome::kLostHit), "recorded_lost_hit"};
  return judge_hit(user, decision->kind, entries_.find_id(decision->entry_id), feedback.correct);
}

Result<FeedbackResult> CacheImpl::feedback_on_entry(const Feedback& feedback) {
  const RecordPtr entry = find_owned(feedback.tenant, feedback.entry_id);
  if (entry == nullptr) return fail(ErrorCode::kNotFound, "entry_id names no entry");
  return judge_hit(keys_.tau_user(feedback.tenant, feedback.user), Decision::Kind::kSemanticHit, entry,
                   feedback.correct);
}

Result<FeedbackResult> CacheImpl::feedback(const Feedback& feedback) {
  if (!feedback.request_id.empty()) return feedback_on_decision(feedback);
  if (!feedback.entry_id.empty()) return feedback_on_entry(feedback);
  return fail(ErrorCode::kInvalidArgument, "feedback needs request_id or entry_id");
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
  Judge judge(*query.settings, embedder_.get(), prompt, tau, options.threshold);
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
