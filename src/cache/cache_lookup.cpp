// Lookups: exact, then semantic. The order of questions is the order of their cost.

#include <fmt/format.h>

#include <algorithm>

#include "base/epoch.h"
#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/eligibility.h"
#include "cache/lookup_times.h"
#include "cache/pending.h"
#include "match/verifier.h"

namespace enhanced_gptcache::cache {
namespace {

thread_local LookupTimes current_times;

/// A caller is better off upstream than with a hit that took longer than this to be looked for.
constexpr int64_t kEmbedWaitMsMax = 1000;

/// serve_percent in hundredths of a percent.
constexpr uint64_t kShares = 10'000;

Count reason_count(MissReason reason) {
  return static_cast<Count>(static_cast<size_t>(Count::kMissReason0) + static_cast<size_t>(reason));
}

/// Finite for every probability.
double stated_logit(double probability) {
  constexpr double kEdge = 1e-9;
  return match::logit_of(std::clamp(probability, kEdge, 1 - kEdge));
}

bool is_young_enough(const Record& record, const LookupOptions& options, const base::Clock& clock) {
  return !options.age_max_ms || clock.wall_ms() - record.created_ms() <= *options.age_max_ms;
}

/// A few words more are no text that carries something else, however short the question is.
constexpr size_t kLongerBytesMin = 40;

enum class Sharing { kShared, kUnvouched, kLopsided };

/// May this entry answer this caller by meaning? What others of the tenant have put there has to be vouched
/// for, and must not be far longer than the question: text that was added to a known one to carry something
/// else is long beside it, and the whole is still near enough to be found.
Sharing sharing_of(const Record& record, const Prompt& prompt, const Options& options) {
  if (prompt.principal.empty() || record.vouchers.is_trusted()) return Sharing::kShared;
  if (record.principal() == prompt.principal) return Sharing::kShared;
  const auto asked = static_cast<double>(prompt.query.size());
  const auto stored = static_cast<double>(record.query().size());
  if (options.length_ratio_max > 0 && stored > asked + kLongerBytesMin &&
      stored > asked * options.length_ratio_max)
    return Sharing::kLopsided;
  if (options.share_after > 1 && record.vouchers.count() < options.share_after) return Sharing::kUnvouched;
  return Sharing::kShared;
}

}  // namespace

LookupTimes times_of_lookup() { return current_times; }

RecordPtr CacheImpl::find_exact_record(const base::Hash128& key, const ScopedPrompt& scoped,
                                       const LookupOptions& options) const {
  RecordPtr record = entries_.find_exact(key);
  if (record == nullptr || !is_same_request(record->view(), scoped, keys_)) return nullptr;
  return is_young_enough(*record, options, clock_) ? record : nullptr;
}

EntryPtr CacheImpl::find_exact(const Prompt& prompt, const LookupOptions& options) {
  CacheMode mode = CacheMode::kServe;
  {
    const base::EpochGuard pin;
    mode = settings_.pinned().options.mode;
  }
  const ScopedPrompt scoped(prompt);
  RecordPtr record = find_exact_record(keys_.exact(scoped), scoped, options);
  if (mode == CacheMode::kShadow) record = nullptr;
  if (record != nullptr && !prompt.principal.empty()) record->vouchers.add(prompt.principal);
  if (options.counted) {
    counters_.add(record != nullptr ? Count::kExactHits : Count::kExactMisses);
    if (record != nullptr) entries_.touch(*record);
  }
  return record;
}

CacheImpl::Query CacheImpl::query_of(const Prompt& prompt, const LookupOptions& options) const {
  const ScopedPrompt scoped(prompt);
  return {prompt, scoped, options, settings_.get(), keys_.exact(scoped), {}};
}

std::string CacheImpl::record_exact_hit(const Prompt& prompt, const Entry& entry) {
  base::Hash128 entry_id;
  parse_hex128(entry.id(), entry_id);
  Decision decision;
  decision.kind = Decision::Kind::kExactHit;
  decision.entry_id = entry_id;
  return request_id(prompt, decision);
}

std::string CacheImpl::request_id(const Prompt& prompt, Decision decision) {
  decision.tenant = keys_.tenant(prompt.tenant);
  const std::string user = keys_.tau_user(prompt.tenant, prompt.user);
  std::memcpy(decision.tau_user.data(), user.data(), user.size());
  if (!prompt.principal.empty()) decision.principal = keys_.tenant(prompt.principal).high;
  return decisions_.record(decision);
}

Lookup CacheImpl::miss(const Query& query, Lookup lookup, MissReason reason, std::string detail,
                       const CandidateTags& candidates) {
  lookup.reason = reason;
  lookup.detail = std::move(detail);
  Decision decision;
  decision.candidates = candidates;
  // Of what another threshold would have served, feedback wants to know how likely it was said to be right.
  if (lookup.nearest && (reason == MissReason::kShadow || reason == MissReason::kBelowThreshold ||
                         reason == MissReason::kVerifier)) {
    decision.partition = query.partition;
    decision.logit = stated_logit(lookup.nearest->probability);
  }
  if (reason == MissReason::kShadow && lookup.nearest) {
    decision.kind = Decision::Kind::kWithheld;
    parse_hex128(lookup.nearest->entry_id, decision.entry_id);
    if (query.options.counted)
      counters_.add(Count::kModelErrorMicros, static_cast<uint64_t>((1 - lookup.nearest->probability) * 1e6));
  }
  lookup.request_id = request_id(query.prompt, decision);
  if (query.options.counted) counters_.add(reason_count(reason));
  return lookup;
}

Lookup CacheImpl::serve(const Query& query, Lookup lookup, RecordPtr record) {
  const bool is_exact = lookup.layer == Layer::kExact;
  if (query.options.counted) {
    counters_.add(is_exact ? Count::kExactHits : Count::kSemanticHits);
    entries_.touch(*record);
  }
  Decision decision;
  decision.kind = is_exact ? Decision::Kind::kExactHit : Decision::Kind::kSemanticHit;
  decision.entry_id = record->id_hash();
  decision.partition = query.partition;
  decision.logit = stated_logit(lookup.probability);
  if (!is_exact && query.options.counted)
    counters_.add(Count::kModelErrorMicros, static_cast<uint64_t>((1 - lookup.probability) * 1e6));
  lookup.request_id = request_id(query.prompt, decision);
  lookup.entry = std::move(record);
  return lookup;
}

std::optional<Lookup> CacheImpl::lookup_exact(const Query& query) {
  if (!query.options.exact) return std::nullopt;
  RecordPtr record = find_exact_record(query.exact_key, query.scoped, query.options);
  if (record != nullptr && !query.prompt.principal.empty()) record->vouchers.add(query.prompt.principal);
  if (record != nullptr && query.settings->options.mode == CacheMode::kServe) {
    Lookup lookup;
    lookup.layer = Layer::kExact;
    lookup.similarity = 1;
    lookup.probability = 1;
    return serve(query, std::move(lookup), std::move(record));
  }
  if (query.options.counted) counters_.add(Count::kExactMisses);
  if (record == nullptr) return std::nullopt;
  Lookup lookup;
  lookup.nearest = Nearest{1, 1, std::string(record->id())};
  return miss(query, std::move(lookup), MissReason::kShadow, {});
}

std::optional<Lookup> CacheImpl::lookup_before_embedding(Query& query) {
  if (!query.options.semantic) return miss(query, {}, MissReason::kIneligible, "exact_only");
  query.partition = keys_.partition(query.scoped);
  std::string why_not = embedder_ == nullptr ? "no_embedder" : ineligibility_before_embedding(query.prompt);
  if (why_not.empty() && query.settings->is_exact_only()) {
    why_not = "verifier_unavailable";
    if (query.options.counted) counters_.add(Count::kVerifierUnavailable);
  }
  const bool is_empty = why_not.empty() && entries_.partition_size(query.partition) == 0;
  if (why_not.empty() && !is_empty) return std::nullopt;
  if (query.options.counted) counters_.add(Count::kSemanticMisses);
  return miss(query, {}, is_empty ? MissReason::kEmpty : MissReason::kIneligible, std::move(why_not));
}

Lookup CacheImpl::embedding_failed(const Query& query, const Error& error) {
  const bool is_overload = error.code == ErrorCode::kOverloaded;
  counters_.add(is_overload ? Count::kEmbedOverloads : Count::kEmbedFailures);
  if (query.options.counted) counters_.add(Count::kSemanticMisses);
  base::log_debug("embedding failed, going on without the semantic layer: {}", error.message);
  if (is_overload) return miss(query, {}, MissReason::kOverloaded, {});
  return miss(query, {}, MissReason::kIneligible, "embedder_failed");
}

std::vector<Candidate> CacheImpl::candidates(const Query& query, const Judge& judge,
                                             std::span<const float> vector, size_t k) const {
  const int64_t began_us = clock_.mono_us();
  std::vector<Candidate> found = entries_.search(query.partition, vector, k, judge.search_floor());
  current_times.search_us += clock_.mono_us() - began_us;
  std::erase_if(found, [&](const Candidate& candidate) {
    if (!is_young_enough(*candidate.record, query.options, clock_)) return true;
    const Sharing sharing = sharing_of(*candidate.record, query.prompt, query.settings->options);
    if (sharing == Sharing::kLopsided && query.options.counted) counters_.add(Count::kLopsided);
    return sharing != Sharing::kShared;
  });
  // Entries of conversations stand for other questions than their words say.
  double best = 0;
  double second = 0;
  for (const Candidate& candidate : found) {
    if (candidate.record->view().context_turns() != 0) continue;
    second = std::max(second, std::min(best, candidate.similarity));
    best = std::max(best, candidate.similarity);
  }
  for (Candidate& candidate : found) candidate.nearest_other = candidate.similarity < best ? best : second;
  return found;
}

bool CacheImpl::is_served(const Query& query) const {
  const Options& options = query.settings->options;
  if (options.mode == CacheMode::kShadow) return false;
  double percent = options.serve_percent;
  for (const auto& [name_space, its_percent] : options.serve_percent_by_namespace)
    if (name_space == query.prompt.name_space) percent = its_percent;
  // The same prompt always falls on the same side.
  return static_cast<double>(query.exact_key.high % kShares) < percent * (kShares / 100.0);
}

LearnedShifts CacheImpl::learned_shifts(const Query& query) const {
  if (!query.settings->options.error_budget || query.settings->decision() != DecisionPolicy::kVerified)
    return {};
  const base::Hash128 tenant = keys_.tenant(query.prompt.tenant);
  LearnedShifts learned;
  learned.shift = budgets_.tenant_shift(tenant) + budgets_.partition_shift(tenant, query.partition);
  learned.entry = [this, tenant](const Record& record) {
    return budgets_.entry_shift(tenant, Budgets::entry_key(record.exact_key()));
  };
  return learned;
}

Lookup CacheImpl::decide(const Query& query, Judge& judge, std::span<const float> vector) {
  Lookup lookup;
  lookup.threshold = judge.threshold();
  const size_t narrow = query.settings->options.candidates;
  std::vector<Candidate> found = candidates(query, judge, vector, narrow);
  if (found.empty()) return miss(query, std::move(lookup), MissReason::kNoCandidate, {});
  const Candidate nearest = found.front();
  lookup.nearest = judge.nearest(nearest);
  std::optional<Verdict> first;
  for (size_t i = 0; i < found.size(); ++i) {
    // Sorted by similarity: from here on none can be served. The nearest is judged all the same, for the
    // reason.
    if (i > 0 && found[i].similarity < judge.threshold()) break;
    Verdict verdict = judge.judge(found[i]);
    if (verdict.passes) {
      if (!is_served(query)) return miss(query, std::move(lookup), MissReason::kShadow, {});
      lookup.layer = Layer::kSemantic;
      lookup.similarity = found[i].similarity;
      lookup.probability = judge.probability(found[i].similarity);
      lookup.nearest.reset();
      return serve(query, std::move(lookup), found[i].record);
    }
    if (!first) first = verdict;
    if (i + 1 == narrow) found = candidates(query, judge, vector, narrow * kWideningFactor);
  }
  CandidateTags tags{};
  for (size_t i = 0; i < std::min(tags.size(), found.size()); ++i)
    tags[i] = candidate_tag(found[i].record->id_hash());
  return miss(query, std::move(lookup), first->reason, first->detail, tags);
}

Lookup CacheImpl::lookup_semantic(const Query& query, Result<Embedding> embedding) {
  if (!embedding) return embedding_failed(query, embedding.error());
  const auto shared = std::make_shared<const Embedding>(std::move(*embedding));
  Lookup lookup;
  std::string why_not =
      ineligibility_of_tokens(shared->stats, query.settings->options.unknown_token_share_max);
  if (!why_not.empty()) {
    lookup = miss(query, {}, MissReason::kIneligible, std::move(why_not));
  } else {
    const TauView tau = tau_.tau(keys_.tau_user(query.prompt.tenant, query.prompt.user), query.prompt.tenant);
    Judge judge(*query.settings, embedder_.get(), query.prompt, tau, query.options.threshold,
                learned_shifts(query));
    lookup = query.settings->decision() == DecisionPolicy::kVerified
                 ? decide_verified(query, judge, shared->values)
                 : decide(query, judge, shared->values);
  }
  if (lookup.entry == nullptr && query.options.counted) counters_.add(Count::kSemanticMisses);
  lookup.embedding = shared;
  return lookup;
}

Result<Lookup> CacheImpl::lookup(const Prompt& prompt, const LookupOptions& options) {
  Query query = query_of(prompt, options);
  if (std::optional<Lookup> exact = lookup_exact(query)) return std::move(*exact);
  if (std::optional<Lookup> early = lookup_before_embedding(query)) return std::move(*early);
  return lookup_semantic(query, embedder_->embed(prompt.query));
}

void CacheImpl::lookup_async(Prompt prompt, LookupOptions options, LookupCallback done) {
  // What the call needs until its embedding is there; the query refers to the copies beside it.
  struct Call {
    Call(CacheImpl& cache, Prompt its_prompt, const LookupOptions& its_options, LookupCallback its_done)
        : pending(cache),
          prompt(std::move(its_prompt)),
          options(its_options),
          done(std::move(its_done)),
          query(cache.query_of(prompt, options)) {}
    const Pending pending;
    const Prompt prompt;
    const LookupOptions options;
    const LookupCallback done;
    Query query;
  };
  const auto call = std::make_shared<Call>(*this, std::move(prompt), options, std::move(done));
  current_times = {};
  if (std::optional<Lookup> exact = lookup_exact(call->query)) return call->done(std::move(*exact));
  if (std::optional<Lookup> early = lookup_before_embedding(call->query))
    return call->done(std::move(*early));
  embedder_->embed_within(kEmbedWaitMsMax, call->prompt.query,
                          [this, call, began_us = clock_.mono_us()](Result<Embedding> embedding) {
                            current_times = {clock_.mono_us() - began_us, 0};
                            call->done(lookup_semantic(call->query, std::move(embedding)));
                          });
}

}  // namespace enhanced_gptcache::cache
