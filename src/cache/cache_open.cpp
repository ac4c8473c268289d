// Opening, settings, counters, background work.

#include <malloc.h>

#include <cstring>

#include "base/epoch.h"
#include "base/log.h"
#include "cache/cache_impl.h"
#include "cache/options_check.h"
#include "cache/storage_table.h"

namespace enhanced_gptcache {
namespace cache {
namespace {

constexpr std::chrono::milliseconds kMaintenanceInterval{200};
/// Memory goes back to the system once an eighth of the cache, and so much at least, has been freed.
constexpr size_t kTrimDivisor = 8;
constexpr size_t kTrimBytesMin = size_t{4} << 20U;

base::SecretKey secret_of(const Options& options) {
  if (options.key_bytes.empty()) return base::random_key();
  base::SecretKey key;
  std::memcpy(key.data(), options.key_bytes.data(), key.size());
  return key;
}

/// Taus below the floor of the cache would never be asked.
TauOptions tau_options(const Options& options) {
  TauOptions tau = options.tau;
  tau.tau_min = std::min(options.similarity_threshold, tau.tau_max);
  return tau;
}

/// The file of the PCA model is sealed as the others are.
PcaOptions with_vault(const Options& options) {
  PcaOptions pca = options.pca;
  pca.vault = options.storage.vault;
  return pca;
}

/// Without a key of its own nothing is found again, graphs no more than entries.
std::string graph_folder(const Options& options, const Embedder* embedder) {
  const bool is_kept = !options.state_folder.empty() && !options.key_bytes.empty() && embedder != nullptr;
  return is_kept ? options.state_folder + "/index" : "";
}

/// The key is with the keys; nobody reads it back from here.
Options effective(Options options) {
  options.key_bytes.clear();
  options.tau = tau_options(options);
  return options;
}

Result<std::shared_ptr<const match::Verifier>> open_verifier(const std::string& path,
                                                             const Embedder* embedder) {
  if (embedder == nullptr) return fail(ErrorCode::kUnsupported, "there is no embedder");
  if (path.empty()) return fail(ErrorCode::kNotFound, "none is configured");
  if (!embedder->has_pair_encoder())
    return fail(ErrorCode::kUnsupported, std::string(embedder->pair_encoder_status()));
  return match::Verifier::open(path);
}

}  // namespace

CacheImpl::CacheImpl(const Options& options, std::shared_ptr<const Embedder> embedder,
                     const base::Clock& clock)
    : embedder_(std::move(embedder)),
      vault_(options.storage.vault),
      erasures_(options.storage.erasures),
      secret_(secret_of(options)),
      clock_(clock),
      keys_(secret_, embedder_ == nullptr ? std::string_view() : embedder_->model_epoch()),
      tau_(tau_options(options)),
      learned_state_(options.state_folder, tau_, budgets_, options.storage.vault),
      entries_(embedder_ == nullptr ? 1 : embedder_->dimensions(), options.graph_from, keys_.model_epoch(),
               clock, counters_),
      graphs_(graph_folder(options, embedder_.get()), secret_,
              embedder_ == nullptr ? std::string_view() : embedder_->model_epoch(),
              embedder_ == nullptr ? 0 : embedder_->dimensions()),
      decisions_(keys_),
      pca_(with_vault(options), embedder_ == nullptr ? std::string_view() : embedder_->model_epoch()) {
  settings_.set(settings_of(options, nullptr));
  learned_state_.load(options.tau.target_error_rate);
}

/// A failure must not take the cache down: only exact hits are served until it is mended. A reload with the
/// same path keeps what is loaded, and tries again what was not.
std::shared_ptr<const Settings> CacheImpl::settings_of(const Options& options, const Settings* before) const {
  std::shared_ptr<const match::Verifier> verifier;
  std::string why_not;
  if (options.decision == DecisionPolicy::kVerified) {
    if (before != nullptr && before->options.verifier_path == options.verifier_path)
      verifier = before->verifier;
    if (verifier == nullptr) {
      auto opened = open_verifier(options.verifier_path, embedder_.get());
      if (opened)
        verifier = std::move(*opened);
      else
        why_not = std::move(opened.error().message);
    }
    const bool is_new = before == nullptr || before->verifier_problem != why_not;
    if (verifier == nullptr && embedder_ != nullptr && !options.verifier_path.empty() && is_new)
      base::log_error("only exact hits are served, because the verifier cannot be used: {}", why_not);
  }
  return std::make_shared<const Settings>(effective(options), embedder_.get(), std::move(verifier),
                                          std::move(why_not));
}

CacheImpl::~CacheImpl() {
  building_.is_stopping = true;
  maintenance_.reset();
  resealer_.reset();
  gardener_.reset();
  std::unique_lock lock(pending_->mutex);
  pending_->none_left.wait(lock, [this] { return pending_->count.load(std::memory_order_acquire) == 0; });
  learned_state_.save();
  save_graphs(0);
}

void CacheImpl::maintain() {
  keep_house();
  reseal_some();
  tend_graphs();
}

void CacheImpl::keep_house() {
  entries_.sweep();
  base::epoch_collect();
  return_memory();
  pca_.work([this](std::string_view tenant) { return entries_.scopes().count(tenant); });
  learned_state_.save_sometimes(clock_.mono_us(), settings_.get()->options.tau.target_error_rate);
}

/// Entries of very different sizes come and go on many threads, each with an arena of the allocator,
/// and freed pages stay resident until somebody asks: measured 1.7 times bytes_max without, 1.1 with.
void CacheImpl::return_memory() {
  freed_bytes_ += entries_.take_freed_bytes();
  if (freed_bytes_ < std::max(kTrimBytesMin, options().bytes_max / kTrimDivisor)) return;
  freed_bytes_ = 0;
  malloc_trim(0);
}

Result<void> CacheImpl::set_options(const Options& options) {
  if (auto checked = check_options(options); !checked) return checked;
  const std::lock_guard lock(settings_mutex_);
  settings_.set(settings_of(options, settings_.get().get()));
  tau_.set_options(tau_options(options));
  budgets_.refresh(options.tau.target_error_rate);
  {
    const std::lock_guard summaries(summaries_mutex_);
    summaries_ = {};
  }
  pca_.set_options(with_vault(options));
  evict(options);
  entries_.evict_tenants(quota_of(options));
  return {};
}

Options CacheImpl::options() const { return settings_.get()->options; }

void CacheImpl::summarise(CacheStats& stats) const {
  const std::array<uint64_t, 3> now = {tau_.updates(), tau_.users(), budgets_.labels()};
  const std::lock_guard lock(summaries_mutex_);
  if (summaries_.made_at != now) summaries_ = {now, tau_.summary(), budgets_.summary()};
  stats.tau = summaries_.tau;
  stats.budgets = summaries_.budgets;
}

CacheStats CacheImpl::stats() const {
  CacheStats stats;
  stats.entries = entries_.size();
  stats.semantic_entries = entries_.semantic_size();
  stats.partitions = entries_.partitions();
  stats.bytes = entries_.bytes();
  stats.exact_hits = counters_.sum(Count::kExactHits);
  stats.exact_misses = counters_.sum(Count::kExactMisses);
  stats.semantic_hits = counters_.sum(Count::kSemanticHits);
  stats.semantic_misses = counters_.sum(Count::kSemanticMisses);
  stats.stores = counters_.sum(Count::kStores);
  stats.store_refused = counters_.sum(Count::kStoreRefused);
  stats.lopsided = counters_.sum(Count::kLopsided);
  stats.injections = counters_.sum(Count::kInjections);
  stats.personal_skipped = counters_.sum(Count::kPersonalSkipped);
  stats.personal_redacted = counters_.sum(Count::kPersonalRedacted);
  stats.evictions_size = counters_.sum(Count::kEvictionsSize);
  stats.evictions_quota = counters_.sum(Count::kEvictionsQuota);
  stats.evictions_expired = counters_.sum(Count::kEvictionsExpired);
  stats.removals = counters_.sum(Count::kRemovals);
  stats.flights_joined = counters_.sum(Count::kFlightsJoined);
  stats.embed_failures = counters_.sum(Count::kEmbedFailures);
  stats.embed_overloads = counters_.sum(Count::kEmbedOverloads);
  for (size_t i = 0; i < std::size(stats.misses_by_reason); ++i) {
    stats.misses_by_reason[i] =
        counters_.sum(static_cast<Count>(static_cast<size_t>(Count::kMissReason0) + i));
  }
  pca_.describe(stats);
  stats.global_tau = tau_.global_tau();
  summarise(stats);
  for (size_t i = 0; i < kLabelSources; ++i) {
    stats.labels_right[i] = counters_.sum(static_cast<Count>(static_cast<size_t>(Count::kLabelRight0) + i));
    stats.labels_wrong[i] = counters_.sum(static_cast<Count>(static_cast<size_t>(Count::kLabelWrong0) + i));
  }
  stats.model_errors = static_cast<double>(counters_.sum(Count::kModelErrorMicros)) / 1e6;
  stats.verified_decisions = counters_.sum(Count::kVerifiedDecisions);
  stats.verifier_unavailable = counters_.sum(Count::kVerifierUnavailable);
  stats.pair_encoder_decisions = counters_.sum(Count::kPairEncoderDecisions);
  const auto settings = settings_.get();
  stats.decision = settings->decision();
  stats.verifier_problem = settings->verifier_problem;
  return stats;
}

Result<std::unique_ptr<CacheImpl>> open_cache(const Options& options,
                                              std::shared_ptr<const Embedder> embedder,
                                              const base::Clock& clock, bool is_maintained,
                                              std::unique_ptr<store::EntryTable> table) {
  if (auto checked = check_options(options); !checked) return fail(std::move(checked).error());
  if (table == nullptr && !options.storage.path.empty()) {
    EGPTC_TRY(table, open_table(options));
  }
  auto cache = std::make_unique<CacheImpl>(options, std::move(embedder), clock);
  if (table != nullptr) EGPTC_TRY_VOID(cache->open_storage(std::move(table)));
  cache->replay_erasures();
  if (is_maintained) cache->start_maintenance(kMaintenanceInterval);
  return cache;
}

}  // namespace cache

Result<std::unique_ptr<EnhancedCache>> EnhancedCache::open(const Options& options,
                                                           std::shared_ptr<const Embedder> embedder) {
  auto opened = cache::open_cache(options, std::move(embedder), base::system_clock(), true);
  if (!opened) return fail(std::move(opened).error());
  return std::unique_ptr<EnhancedCache>(std::move(*opened));
}

}  // namespace enhanced_gptcache
