#pragma once
// EnhancedCache: answers a prompt from what it has stored, by the same request (exact layer) or by
// the same meaning in the same context, scope and authority (semantic layer). It never calls a
// model provider; get_or_compute and the proxy do that around it. docs/architecture.md tells the story.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

/// One message of a conversation. `role` is user, assistant, tool...; system text is kept apart.
struct Turn {
  std::string role;
  std::string content;
};

/// A request as the cache sees it, whatever dialect it came in. make_prompt() builds one from a
/// plain question; the proxy's dialects build theirs from request bodies.
struct Prompt {
  std::string tenant = "local";  ///< authority; never from a request body
  std::string name_space;        ///< below the tenant
  std::string model = "default";
  std::string user;              ///< whose tau decides; empty: the tenant's own
  std::string dialect = "chat";  ///< "chat", "completions", "responses", "messages"
  std::string canonical;         ///< canonical JSON of every keyed field but the model (exact key)
  std::string system;            ///< system prompt, all of it (partition)
  /// Canonical JSON of the keyed fields that change the answer's form (partition).
  std::string shape = "{}";
  std::string query;             ///< newest user text (embedded)
  std::vector<Turn> context;     ///< turns before it, oldest first, without system messages
  bool user_scoped = false;      ///< also partition by `user`
  std::optional<bool> personal;  ///< speaks of its asker; unset: its texts tell
  std::string ineligible;        ///< non-empty: why the semantic layer must not see it ("image", ...)
  /// Whose credential asks, for Options::share_after; empty: nobody in particular, who sees everything.
  std::string principal;
};

/// The chat request with these messages and nothing else: what the native API and the library use.
/// System turns in `context` become the system prompt.
Prompt make_prompt(std::string_view query, std::vector<Turn> context = {}, std::string_view name_space = {},
                   std::string_view model = "default");

enum class Layer { kExact, kSemantic, kShared };
enum class MissReason {
  kEmpty,           ///< nothing stored in this partition
  kNoCandidate,     ///< nothing at or above similarity_threshold
  kBelowThreshold,  ///< a candidate, but under the threshold of the policy
  kContext,         ///< the conversation before it differs
  kGuard,           ///< a guard refused; Lookup::detail names it
  kVerifier,
  kIneligible,  ///< the semantic layer may not look; Lookup::detail says why
  kShadow,      ///< would have been served, but mode is shadow or serve_percent left it out
  kOverloaded,  ///< the embedder's queue was full, or the question waited too long in it
};
std::string_view to_string(Layer layer);
std::string_view to_string(MissReason reason);

/// One stored answer. Thread rule: immutable; shared, so a hit outlives eviction.
class Entry {
 public:
  virtual ~Entry() = default;
  virtual std::string_view id() const = 0;
  virtual std::string_view query() const = 0;
  virtual std::string_view model() const = 0;
  virtual std::string_view name_space() const = 0;
  /// What was stored: JSON text of any kind for native JSON, else empty.
  virtual std::string_view response_json() const = 0;
  /// Text of the first choice, or the native string.
  virtual std::string_view text() const = 0;
  /// The whole canonical answer (JSON text of the dialect's non-streamed answer); empty for native entries.
  virtual std::string_view completion() const = 0;
  virtual std::string_view dialect() const = 0;
  virtual int64_t created_ms() const = 0;
  virtual int64_t expires_ms() const = 0;  ///< 0: never
  virtual std::vector<std::string_view> tags() const = 0;
  virtual std::string_view subject() const = 0;
  virtual bool semantic() const = 0;  ///< false: found by the exact layer only
  virtual uint64_t hits() const = 0;
  virtual uint64_t tokens_prompt() const = 0;
  virtual uint64_t tokens_completion() const = 0;
  virtual double latency_ms() const = 0;  ///< what its answer took when it was made; 0: not known
};
using EntryPtr = std::shared_ptr<const Entry>;

struct LookupOptions {
  /// Raises the similarity floor; a lower value than the policy's changes nothing.
  std::optional<double> threshold;
  bool exact = true;                  ///< ask the exact layer
  bool semantic = true;               ///< ask the semantic layer
  std::optional<int64_t> age_max_ms;  ///< older entries do not count
  bool counted = true;                ///< false: probes; leaves counters and recency alone
};

struct Nearest {
  double similarity = 0;
  /// Estimate that its answer would be right; monotone in similarity until the verifier exists.
  double probability = 0;
  std::string entry_id;
};

struct Lookup {
  EntryPtr entry;                              ///< null: a miss
  Layer layer = Layer::kExact;                 ///< of a hit
  double similarity = 0;                       ///< of a hit; 1 for exact
  double probability = 0;                      ///< of a hit; 1 for exact
  double threshold = 0;                        ///< what the similarity was held against
  MissReason reason = MissReason::kEmpty;      ///< of a miss
  std::string detail;                          ///< guard name or ineligibility
  std::optional<Nearest> nearest;              ///< of a miss, whenever there was a candidate
  std::string request_id;                      ///< names this decision in feedback()
  std::shared_ptr<const Embedding> embedding;  ///< hand it to store() so the text is not embedded twice
  double pair_encoder_ms = 0;                  ///< time in the pair encoder; 0 when it was not asked
};

struct StoreRequest {
  Prompt prompt;
  std::string text;               ///< assistant text; for a native string, the string
  std::string response_json;      ///< native JSON that is no string; else empty
  std::string completion;         ///< canonical answer of the dialect; else empty
  std::optional<int64_t> ttl_ms;  ///< kept as it is, 0 never expires; unset: Options::ttl_ms with jitter
  std::vector<std::string> tags;
  std::string subject;
  std::string principal;  ///< who wrote it (provenance)
  bool trusted = false;  ///< by somebody who may decide for the tenant: shared at once (Options::share_after)
  uint64_t tokens_prompt = 0, tokens_completion = 0;
  double latency_ms = 0;                       ///< what the answer cost, for cost-aware eviction
  std::shared_ptr<const Embedding> embedding;  ///< of prompt.query, when already known
  /// EnhancedCache::generation() when the answer was asked for: it is not stored when what it would be part
  /// of has been flushed, invalidated, removed or judged wrong since. Unset: stored in any case.
  std::optional<uint64_t> generation;
  std::string request_id;  ///< with generation: of the miss it answers, on which feedback may have come
  /// True: store() returns before the entry is on disk (it is written within a tenth of a second). False:
  /// it is durable when store() returns, as Options::storage.sync says. Nothing to wait for without a path.
  bool write_behind = false;
};
struct Stored {
  std::string id;
  bool semantic = false;
  std::string ineligible;  ///< non-empty: why the semantic layer must not see it ("image", ...)
};

/// Selects entries of one tenant. Empty fields do not restrict.
struct Filter {
  std::string tenant = "local";
  std::optional<std::string> name_space = {};
  std::optional<std::string> model = {};
  std::optional<std::string> subject = {};
  std::vector<std::string> tags = {};  ///< any of them
  std::optional<std::string> query_contains = {};
  std::optional<int64_t> created_before_ms = {};
};

/// Who says that a hit was right or wrong.
enum class LabelSource : uint8_t {
  kFeedback,  ///< a caller
  kShadow,    ///< a hit was also asked upstream, off the request path, and the answers compared
  kJudge,     ///< a model was asked whether the answers agree
};
inline constexpr size_t kLabelSources = 3;
std::string_view to_string(LabelSource source);

struct Feedback {
  std::string tenant = "local";
  std::string request_id = {};  ///< or entry_id
  std::string entry_id = {};
  /// Whose verdict it is, and with which credential it came (Prompt::user, Prompt::principal). Empty, or the
  /// principal itself: the application, which speaks for every user it asked for with that credential.
  std::string user = {};
  std::string principal = {};
  bool correct = true;
  std::string missed_entry_id = {};             ///< with request_id: this entry should have been served
  LabelSource source = LabelSource::kFeedback;  ///< the others do not stop a caller from judging later
};
struct FeedbackResult {
  double tau = 0;  ///< of that user, after the update
  /// "confirmed", "removed", "recorded", "recorded_lost_hit"; "none": nothing was moved. A verdict teaches
  /// only when it is on an answer that was served to this caller and not judged before; a wrong answer is
  /// removed in any case.
  std::string action;
};

/// One candidate as explain() reports it.
struct CandidateReport {
  std::string entry_id;
  std::string query;
  double similarity = 0;
  double probability = 0;
  double divergence = 0;      ///< of the contexts; 0 when both are empty
  double evidence_shift = 0;  ///< log odds more than usual, because this entry's answers were wrong before
  std::vector<std::pair<std::string, std::string>> checks;  ///< check name -> "pass" or why not
  bool served = false;
};
struct Explanation {
  Lookup decision;
  std::string partition;  ///< hexadecimal hash
  size_t partition_entries = 0;
  std::string policy;
  double tau = 0;
  std::string tau_source;  ///< "user", "global", "initial", "off"
  /// kVerified: what the probability must reach, and where that comes from, in log odds.
  struct Required {
    double probability = 0;
    double target_error_rate = 0;
    double tau_shift = 0;                                      ///< of the user's tau
    double tenant_shift = 0;                                   ///< of the tenant's error budget
    double partition_shift = 0;                                ///< wrong answers in this partition
    uint64_t labels_right = 0, labels_wrong = 0;               ///< of the tenant's semantic hits
    double error_estimate = 0, error_low = 0, error_high = 1;  ///< of what is served; 95 %, at every moment
  };
  std::optional<Required> required;
  TextStats text;
  std::vector<CandidateReport> candidates;
};

/// Tenants by what their labels did to the threshold (kVerified).
struct BudgetSummary {
  uint64_t calibrated = 0, tightened = 0, loosened = 0;
  double shift_min = 0, shift_max = 0;  ///< log odds
};
/// Users by where their tau stands against initial_tau.
struct TauSummary {
  uint64_t below = 0, initial = 0, above = 0;
  double mean_below = 0, mean_above = 0;
};
/// The mirror on disk; all zero without one.
struct StorageStats {
  bool is_enabled = false;
  bool is_failing = false;  ///< the disk refuses; entries are served and none is stored
  std::string problem;      ///< why; or what was found at start and put aside; else empty
  uint64_t loaded = 0, damaged = 0, outdated = 0, exact_only = 0;  ///< entries, at start
  uint64_t tampered = 0;  ///< of the damaged ones: sealed bytes that did not open
  uint64_t keyless = 0;   ///< at start: of subjects whose key was destroyed
  uint64_t locked = 0;    ///< of them left on disk, because the keystore is damaged and may have lost the key
  uint64_t keys_refused = 0;  ///< entries not written because their tenant has all the data keys it may have
  uint64_t erased = 0;        ///< at start: named by the erasure ledger
  uint64_t load_ms = 0;
  uint64_t stored = 0, removed = 0, written_bytes = 0, batches = 0, syncs = 0, errors = 0, rebuilds = 0;
  uint64_t refused = 0;                     ///< entries not stored because of the disk
  uint64_t waiting = 0, waiting_bytes = 0;  ///< changes not yet written
  uint64_t disk_bytes = 0, log_bytes = 0, engine_memory_bytes = 0, files = 0;
  uint64_t compactions_running = 0, compaction_pending_bytes = 0;
  /// Graphs of large partitions: those a start took from their snapshots, with their entries; snapshots that
  /// could not be used and were put aside; those written since, or not; entries that a graph is still built
  /// for: they are found by looking at each.
  uint64_t graphs_restored = 0, graph_rows_restored = 0, graphs_put_aside = 0;
  uint64_t graphs_saved = 0, graph_save_errors = 0, graph_rows_waiting = 0;
  std::string graph_problem;  ///< of the snapshot put aside last
};

/// What erase() did.
struct ErasedSubject {
  uint64_t entries = 0;  ///< removed
  uint64_t without_data_key =
      0;                   ///< of them not sealed by the subject's own key: older backups still hold them
  uint64_t taus = 0;       ///< learned thresholds forgotten
  uint64_t data_keys = 0;  ///< destroyed
  uint64_t ledger_sequence = 0;  ///< 0: there is no ledger
  int64_t requested_ms = 0;      ///< wall clock; what was stored until then is erased
  int64_t completed_ms = 0;
  bool is_stored = false;  ///< there is a disk, and its files were written anew without it
  /// Nothing of it was ever sealed here but by data keys of its own, and these are destroyed: what files and
  /// backups of this encryption still hold of it opens no more.
  bool died_with_keys = false;
};
/// Encryption at rest.
struct EncryptionStats {
  bool is_on = false;
  std::string current_key;               ///< id of the master key that seals what is written
  std::vector<std::string> keys;         ///< all that are configured
  std::vector<std::string> keys_in_use;  ///< that something stored may be sealed by
  uint64_t data_keys = 0;                ///< of subjects
  uint64_t waiting = 0;                  ///< entries still to be sealed again
  bool is_resealing = false;
};

struct CacheStats {
  uint64_t entries = 0, semantic_entries = 0, partitions = 0, bytes = 0;
  uint64_t exact_hits = 0, exact_misses = 0, semantic_hits = 0, semantic_misses = 0;
  uint64_t stores = 0, store_refused = 0, evictions_size = 0, evictions_expired = 0, removals = 0;
  uint64_t lopsided = 0;         ///< candidates of others passed over: far longer than the question
  uint64_t injections = 0;       ///< stored for exact match only: their question dictates an answer
  uint64_t evictions_quota = 0;  ///< of tenants over Options::tenant_entries_max or tenant_bytes_max
  uint64_t personal_skipped = 0, personal_redacted = 0;                  ///< entries, by Options::privacy
  uint64_t flights_joined = 0, embed_failures = 0, embed_overloads = 0;  ///< overload: had no time for it
  uint64_t misses_by_reason[9] = {};                                     ///< indexed by MissReason
  bool pca_active = false;
  uint64_t pca_samples = 0, pca_version = 0;  ///< seen so far; fits so far, over restarts
  double pca_explained_variance = 0;          ///< 0..1, of the model in use
  bool pca_loaded = false;                    ///< it goes on from the file of an earlier run
  uint64_t pca_files_refused = 0;             ///< files that were there at start and could not be used
  std::string pca_problem;                    ///< why the last of them was not; else empty
  double global_tau = 0;
  TauSummary tau;
  BudgetSummary budgets;
  uint64_t labels_right[kLabelSources] = {}, labels_wrong[kLabelSources] = {};  ///< of semantic hits
  double model_errors = 0;  ///< wrong semantic hits by the verifier's own estimate: sum of 1 - probability
  uint64_t verified_decisions = 0, pair_encoder_decisions = 0;  ///< the second are some of the first
  uint64_t verifier_unavailable = 0;                    ///< lookups by exact match only; see verifier_problem
  DecisionPolicy decision = DecisionPolicy::kAdaptive;  ///< in force; see verifier_problem
  /// Why the verifier cannot be used under kVerified; else empty. With an artifact named in Options, only
  /// exact hits are served meanwhile.
  std::string verifier_problem;
};

/// Thread rule: every method may be called from any thread. Lookups never wait for writers.
class EnhancedCache {
 public:
  using LookupCallback = std::function<void(Result<Lookup>)>;
  using StoreCallback = std::function<void(Result<Stored>)>;
  using CommitCallback = std::function<void(Result<void>)>;

  /// `embedder` null: the exact layer only. It is shared, and must not be asked for other models meanwhile.
  static Result<std::unique_ptr<EnhancedCache>> open(const Options& options,
                                                     std::shared_ptr<const Embedder> embedder);
  virtual ~EnhancedCache() = default;

  /// Exact layer only: no embedding, no lock shared with writers, counted as one exact attempt.
  virtual EntryPtr find_exact(const Prompt& prompt, const LookupOptions& options) = 0;
  /// Says that `entry`, which find_exact() gave for `prompt`, was served; the request id under which feedback
  /// may judge it. A few hashes and no lock.
  virtual std::string record_exact_hit(const Prompt& prompt, const Entry& entry) = 0;
  /// Exact, then semantic. Blocks for one embedding at most (more with context). Fails only when a
  /// dependency fails; callers then go on as after a miss.
  virtual Result<Lookup> lookup(const Prompt& prompt, const LookupOptions& options = {}) = 0;
  /// The same; `done` runs at once on an exact hit, else on an embedder thread.
  virtual void lookup_async(Prompt prompt, LookupOptions options, LookupCallback done) = 0;
  /// Stores or replaces (same exact key). Findable when it returns. kInvalidArgument: too large, or out of
  /// date (StoreRequest::generation); kUnavailable, kOverloaded: the disk refuses or is behind.
  virtual Result<Stored> store(const StoreRequest& request) = 0;
  virtual void store_async(StoreRequest request, StoreCallback done) = 0;
  /// How many times something was taken out on purpose so far; for StoreRequest::generation.
  virtual uint64_t generation() const = 0;
  /// lookup, else `compute` once for all callers with the same exact key at that time, then store. The
  /// callers wait as long as it takes; `compute` must not ask for the same prompt again.
  virtual Result<std::string> get_or_compute(const Prompt& prompt,
                                             const std::function<Result<std::string>()>& compute) = 0;
  /// lookup with everything that led to it; counts nothing, changes nothing.
  virtual Result<Explanation> explain(const Prompt& prompt, const LookupOptions& options = {}) = 0;
  /// kNotFound: no such request or entry in this tenant.
  virtual Result<FeedbackResult> feedback(const Feedback& feedback) = 0;

  virtual EntryPtr get(std::string_view tenant, std::string_view id) const = 0;
  virtual bool remove(std::string_view tenant, std::string_view id) = 0;
  /// Newest first, at most `limit`, after `cursor` (the id of the last one seen; empty: from the start).
  /// Empty when the cursor's entry is gone.
  virtual std::vector<EntryPtr> list(const Filter& filter, size_t limit, std::string_view cursor) const = 0;
  /// Removes what matches (or only counts it, dry_run). Cost in proportion to the tenant's entries.
  virtual size_t invalidate(const Filter& filter, bool dry_run) = 0;
  /// Removes one namespace of a tenant, or all of the tenant (nullopt). Cost in proportion to what goes.
  virtual size_t flush(std::string_view tenant, std::optional<std::string_view> name_space) = 0;

  /// Removes all that is stored of a subject of this tenant (entries with it as subject, user or writer, its
  /// tau, its data keys), in one namespace or all, from memory and every file of the storage; answers under
  /// way are not kept. Noted in the ledger first, so that a start finishes what a crash cut short. Waits for
  /// the disk; cost: the tenant's entries, and the files around those removed. kUnavailable, kIo: gone from
  /// memory, not yet from disk; the next start finishes it.
  virtual Result<ErasedSubject> erase(std::string_view tenant, std::string_view subject,
                                      std::optional<std::string_view> name_space) = 0;
  /// What erase() would remove, newest first, at most `limit`; `cursor`: after the entry it was made of,
  /// which may have left meanwhile. kInvalidArgument: it is no cursor; kNotFound: of another run of the
  /// process.
  virtual Result<std::vector<EntryPtr>> list_subject(std::string_view tenant, std::string_view subject,
                                                     std::optional<std::string_view> name_space, size_t limit,
                                                     std::string_view cursor) const = 0;
  /// Of an entry that list_subject() gave.
  virtual std::string subject_cursor(const Entry& last) const = 0;
  /// What labels of this user taught; none: nothing.
  virtual std::optional<double> learned_threshold(std::string_view tenant, std::string_view user) const = 0;
  /// Seals every entry anew by the current master key (or takes the seals away, when the vault does not
  /// encrypt), in the background. kUnsupported: no vault or no path.
  virtual Result<void> reseal() = 0;
  virtual EncryptionStats encryption_stats() const = 0;

  /// Waits until everything stored and removed so far is durable, as Options::storage.sync says; at once
  /// without a path. Removals (remove, invalidate, flush, feedback) hold in memory when they return and on
  /// disk when this does. kUnavailable: the disk refuses; what was removed may come back after a restart.
  virtual Result<void> commit() = 0;
  /// The same; `done` runs at once or on a thread of the cache, and must be quick.
  virtual void commit_async(CommitCallback done) = 0;
  /// Commits, then copies all entries as of then into `folder`, which must not exist. Serving goes on.
  virtual Result<void> checkpoint(const std::string& folder) = 0;

  /// Takes effect for calls that start later; shrinking bytes_max evicts before it returns.
  virtual Result<void> set_options(const Options& options) = 0;
  virtual Options options() const = 0;
  virtual CacheStats stats() const = 0;
  /// Apart from stats(), because it looks at the folder.
  virtual StorageStats storage_stats() const = 0;
};

}  // namespace enhanced_gptcache
