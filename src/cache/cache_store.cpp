// Storing, and computing once for many.

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/eligibility.h"
#include "cache/pending.h"
#include "match/guards.h"
#include "match/injection.h"
#include "match/word_salad.h"
#include "store/entry_codec.h"

namespace enhanced_gptcache::cache {
namespace {

/// A hundred years: what a time to live may be at most, so that adding it to now cannot overflow.
constexpr int64_t kTtlMaxMs = int64_t{100} * 366 * 24 * 3600 * 1000;

size_t text_bytes(const StoreRequest& request) {
  size_t bytes = request.prompt.canonical.size() + request.prompt.query.size() + request.text.size() +
                 request.response_json.size() + request.completion.size() + request.subject.size() +
                 request.principal.size();
  for (const std::string& tag : request.tags) bytes += tag.size();
  return bytes;
}

/// Of one entry: one larger than its tenant's quota would push out all others and itself.
size_t entry_bytes_max(const Options& options) {
  const size_t bytes_max = std::min(options.entry_bytes_max, options.bytes_max);
  return options.tenant_bytes_max == 0 ? bytes_max : std::min(bytes_max, options.tenant_bytes_max);
}

tl::unexpected<Error> too_large(size_t bytes, size_t bytes_max) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("entry has {} bytes: at most {} are stored", bytes, bytes_max));
}

/// Made to be served to those who ask the question inside it: kept for who asks exactly this.
bool is_planted(const StoreRequest& request) {
  return match::injection_in(request.prompt.query) != nullptr || match::is_word_salad(request.prompt.query) ||
         match::is_echo(request.prompt.query, request.text);
}

store::EntryContext entry_context(ContextFingerprint print) {
  return {print.turns, print.exact_hash, std::move(print.vector), std::move(print.anchors)};
}

/// Between -1 and 1. Spreads expiry times; no secret hangs on it.
double random_spread() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>(-1, 1)(random);
}

/// What a caller of get_or_compute gets from an entry.
std::string answer_of(const Entry& entry) {
  return std::string(entry.response_json().empty() ? entry.text() : entry.response_json());
}

}  // namespace

Result<CacheImpl::Draft> CacheImpl::draft_of(const StoreRequest& request) const {
  Draft draft{request, settings_.get(), {}, request.embedding, std::nullopt, std::nullopt};
  const Options& options = draft.settings->options;
  if (const size_t bytes = text_bytes(request); bytes > entry_bytes_max(options))
    return too_large(bytes, entry_bytes_max(options));
  if (request.ttl_ms && (*request.ttl_ms < 0 || *request.ttl_ms > kTtlMaxMs)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("ttl_ms is {}: allowed is 0 (never expires) to {}", *request.ttl_ms, kTtlMaxMs));
  }
  if (embedder_ != nullptr && request.embedding != nullptr &&
      request.embedding->values.size() != embedder_->dimensions()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("embedding has {} values: the model makes {}", request.embedding->values.size(),
                            embedder_->dimensions()));
  }
  draft.ineligible = embedder_ == nullptr ? "no_embedder" : ineligibility_before_embedding(request.prompt);
  if (draft.ineligible.empty() && is_planted(request)) {
    counters_.add(Count::kInjections);
    draft.ineligible = "injection";
  }
  auto redaction = apply_privacy(options.privacy, request, keys_);
  if (!redaction) {
    counters_.add(Count::kPersonalSkipped);
    return fail(std::move(redaction).error());
  }
  draft.redaction = std::move(*redaction);
  if (draft.redaction) {
    counters_.add(Count::kPersonalRedacted);
    draft.ineligible = "personal_data";
  }
  return draft;
}

void CacheImpl::add_embedding(Draft& draft, Result<Embedding> embedding) {
  if (embedding) {
    draft.embedding = std::make_shared<const Embedding>(std::move(*embedding));
    return;
  }
  const bool is_overload = embedding.error().code == ErrorCode::kOverloaded;
  counters_.add(is_overload ? Count::kEmbedOverloads : Count::kEmbedFailures);
  base::log_debug("embedding failed, storing for exact match only: {}", embedding.error().message);
  draft.ineligible = is_overload ? "embedder_overloaded" : "embedder_failed";
}

Result<Stored> CacheImpl::count_refusal(Error error) {
  counters_.add(Count::kStoreRefused);
  return fail(std::move(error));
}

int64_t CacheImpl::expiry(const StoreRequest& request, const Options& options, int64_t now_ms) const {
  // A lifetime the caller names is kept to the millisecond; the default one is spread.
  if (request.ttl_ms) return *request.ttl_ms == 0 ? 0 : now_ms + *request.ttl_ms;
  int64_t ttl_ms = options.ttl_ms;
  // "Today" is another day tomorrow.
  if (options.time_bound_ttl_ms > 0 && match::is_time_bound(match::Words(request.prompt.query)))
    ttl_ms = ttl_ms == 0 ? options.time_bound_ttl_ms : std::min(ttl_ms, options.time_bound_ttl_ms);
  if (ttl_ms == 0) return 0;
  const double spread_ms = static_cast<double>(ttl_ms) * (1 + random_spread() * options.ttl_jitter);
  return now_ms + std::max<int64_t>(1, std::llround(spread_ms));
}

store::EntryFields CacheImpl::fields_of(const Draft& draft) const {
  const StoreRequest& request = draft.request;
  const Prompt& prompt = request.prompt;
  store::EntryFields fields;
  fields.tenant = prompt.tenant;
  fields.name_space = prompt.name_space;
  fields.model = prompt.model;
  const ScopedPrompt scoped(prompt);
  fields.user = scoped.user;
  fields.dialect = prompt.dialect;
  fields.canonical = prompt.canonical;
  fields.query = prompt.query;
  if (draft.redaction) {
    fields.canonical = draft.redaction->canonical;
    fields.query = draft.redaction->query;
  }
  fields.text = request.text;
  fields.response_json = request.response_json;
  fields.completion = request.completion;
  fields.subject = request.subject;
  fields.principal = request.principal;
  fields.model_epoch = keys_.model_epoch();
  fields.policy_epoch = kPolicyEpoch;
  fields.tags = request.tags;
  fields.created_ms = clock_.wall_ms();
  fields.expires_ms = expiry(request, draft.settings->options, fields.created_ms);
  fields.tokens_prompt = request.tokens_prompt;
  fields.tokens_completion = request.tokens_completion;
  fields.latency_ms = std::isfinite(request.latency_ms) ? request.latency_ms : 0;
  fields.exact_key = keys_.exact(scoped);
  fields.partition = keys_.partition(scoped);
  fields.semantic = draft.ineligible.empty();
  if (draft.context) fields.context = &*draft.context;
  if (fields.semantic) fields.embedding = draft.embedding->values;
  return fields;
}

bool CacheImpl::file(const Draft& draft, const RecordPtr& record, std::span<const float> vector,
                     store::EntryBytes whole) {
  const StoreRequest& request = draft.request;
  const auto insert = [&] { entries_.insert(record, vector, std::move(whole)); };
  if (!request.generation) {
    insert();
    return true;
  }
  const Prompt& prompt = request.prompt;
  const std::array<base::Hash128, 4> scopes = {keys_.tenant(prompt.tenant),
                                               keys_.name_space(prompt.tenant, prompt.name_space),
                                               record->exact_key(), keys_.request(request.request_id)};
  // Without a request id there was no decision that anybody could have judged.
  const size_t count = request.request_id.empty() ? 3 : 4;
  return generations_.file_unless_advanced(*request.generation, std::span(scopes).first(count), insert);
}

Result<Stored> CacheImpl::store_draft(Draft& draft) {
  const Prompt& prompt = draft.request.prompt;
  const Options& options = draft.settings->options;
  if (draft.ineligible.empty()) {
    draft.ineligible = ineligibility_of_tokens(draft.embedding->stats, options.unknown_token_share_max);
  }
  if (draft.ineligible.empty() && !prompt.context.empty()) {
    auto context = draft.settings->context_filter.fingerprint(prompt.context);
    if (context)
      draft.context = entry_context(std::move(*context));
    else
      add_embedding(draft, fail(std::move(context).error()));
  }
  const std::string id_text = base::random_hex(sizeof(base::Hash128));
  base::Hash128 id;
  EGPTC_CHECK(parse_hex128(id_text, id));
  store::EntryFields fields = fields_of(draft);
  fields.id = id_text;
  auto bytes = store::encode_entry(fields);
  if (!bytes) return fail(std::move(bytes).error());
  if (log_ != nullptr && !log_->accepts()) {
    counters_.add(Count::kStorageRefused);
    return fail(log_->refusal());
  }
  if (bytes->size > entry_bytes_max(options)) return too_large(bytes->size, entry_bytes_max(options));

  std::vector<float> vector;
  if (fields.semantic) vector = store::round_trip(fields.embedding, fields.vector_form);
  const RecordPtr record = Record::make(store::pack_entry(bytes->view(), keys_.model_epoch(), true), id);
  const Quota quota = quota_of(options);
  if (quota.bytes_max != 0 && record->bytes() > quota.bytes_max)
    return too_large(record->bytes(), quota.bytes_max);
  if (!draft.request.principal.empty()) record->vouchers.add(draft.request.principal);
  if (draft.request.trusted) record->vouchers.trust();
  if (!file(draft, record, vector, std::move(*bytes)) || withdraw_if_erased(record))
    return fail(ErrorCode::kInvalidArgument,
                "entry is out of date: what it belongs to was flushed, invalidated, erased or judged wrong "
                "after its answer was asked for");
  counters_.add(Count::kStores);
  entries_.evict_tenant(prompt.tenant, quota);
  evict(options);
  if (fields.semantic) pca_.offer(prompt.tenant, vector);
  return Stored{id_text, fields.semantic, std::move(draft.ineligible)};
}

Result<Stored> CacheImpl::store_uncommitted(const StoreRequest& request) {
  auto draft = draft_of(request);
  if (!draft) return count_refusal(std::move(draft).error());
  if (draft->ineligible.empty() && draft->embedding == nullptr) {
    add_embedding(*draft, embedder_->embed(request.prompt.query));
  }
  auto stored = store_draft(*draft);
  return stored ? std::move(stored) : count_refusal(std::move(stored).error());
}

Result<Stored> CacheImpl::store(const StoreRequest& request) {
  auto stored = store_uncommitted(request);
  if (stored && must_commit(request)) EGPTC_TRY_VOID(log_->commit());
  return stored;
}

void CacheImpl::store_async(StoreRequest request, StoreCallback done) {
  struct Call {
    Call(CacheImpl& cache, StoreRequest its_request, StoreCallback its_done)
        : pending(cache), request(std::move(its_request)), done(std::move(its_done)) {}
    const Pending pending;
    const StoreRequest request;
    const StoreCallback done;

    /// Nothing here waits for the disk: the answer goes out from the log's thread.
    static void finish(CacheImpl& cache, const std::shared_ptr<const Call>& call, Result<Stored> stored) {
      if (!stored || !cache.must_commit(call->request)) return call->done(std::move(stored));
      cache.log_->commit([call, stored = std::move(stored)](Result<void> committed) {
        if (committed) return call->done(stored);
        call->done(fail(std::move(committed).error()));
      });
    }
  };
  const auto call = std::make_shared<const Call>(*this, std::move(request), std::move(done));
  const Prompt& prompt = call->request.prompt;
  // Whatever needs the model runs on the embedder's threads: the question, or a conversation to embed.
  const bool needs_model = embedder_ != nullptr && ineligibility_before_embedding(prompt).empty() &&
                           (call->request.embedding == nullptr || !prompt.context.empty());
  if (!needs_model) return Call::finish(*this, call, store_uncommitted(call->request));
  embedder_->embed_async(prompt.query, [this, call](Result<Embedding> embedding) {
    auto draft = draft_of(call->request);
    if (!draft) return call->done(count_refusal(std::move(draft).error()));
    if (draft->ineligible.empty() && draft->embedding == nullptr) add_embedding(*draft, std::move(embedding));
    auto stored = store_draft(*draft);
    Call::finish(*this, call, stored ? std::move(stored) : count_refusal(std::move(stored).error()));
  });
}

Result<std::string> CacheImpl::get_or_compute(const Prompt& prompt,
                                              const std::function<Result<std::string>()>& compute) {
  const uint64_t generation = generations_.now();
  auto looked_up = lookup(prompt, {});
  std::shared_ptr<const Embedding> embedding;
  if (looked_up) {
    if (looked_up->entry != nullptr) return answer_of(*looked_up->entry);
    embedding = looked_up->embedding;
  }
  const base::Hash128 key = keys_.exact(ScopedPrompt(prompt));
  const auto compute_and_store = [&]() -> Result<std::string> {
    // A flight that landed between this caller's lookup and its own take-off has stored already.
    LookupOptions uncounted;
    uncounted.counted = false;
    if (const EntryPtr entry = find_exact(prompt, uncounted)) return answer_of(*entry);
    auto answer = compute();
    if (!answer) return answer;
    StoreRequest request;
    request.prompt = prompt;
    request.text = *answer;
    request.embedding = embedding;
    request.generation = generation;
    request.write_behind = true;
    if (auto stored = store(request); !stored) base::log_debug("not stored: {}", stored.error().message);
    return answer;
  };
  Flights::Outcome outcome = flights_.run(key, compute_and_store);
  if (outcome.joined) counters_.add(Count::kFlightsJoined);
  return std::move(outcome.answer);
}

}  // namespace enhanced_gptcache::cache
