#pragma once
// EnhancedCache as one object: it holds the parts and says in which order a request meets them.
// Split over cache_*.cpp by kind of call.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "cache/budgets.h"
#include "cache/counters.h"
#include "cache/entry_store.h"
#include "cache/flights.h"
#include "cache/generations.h"
#include "cache/graph_snapshots.h"
#include "cache/judge.h"
#include "cache/keys.h"
#include "cache/label_scores.h"
#include "cache/learned_state.h"
#include "cache/learning.h"
#include "cache/maintenance.h"
#include "cache/pca_feed.h"
#include "cache/privacy_policy.h"
#include "cache/recent_decisions.h"
#include "cache/settings_cell.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/tau_manager.h"
#include "store/entry_log.h"
#include "vault/erasure_ledger.h"
#include "vault/vault.h"

namespace enhanced_gptcache::cache {

/// Thread rule: any thread. The destructor waits for calls of the asynchronous twins.
/// When the first candidates are refused for their context or by guards, so many times more are looked at
/// once: conversations repeat the same short questions in different contexts.
constexpr size_t kWideningFactor = 8;

class CacheImpl final : public EnhancedCache, public LearningSource {
 public:
  /// `options` passed check_options. `clock` outlives the cache.
  CacheImpl(const Options& options, std::shared_ptr<const Embedder> embedder, const base::Clock& clock);
  ~CacheImpl() override;

  EntryPtr find_exact(const Prompt& prompt, const LookupOptions& options) override;
  std::string record_exact_hit(const Prompt& prompt, const Entry& entry) override;
  Result<Lookup> lookup(const Prompt& prompt, const LookupOptions& options) override;
  void lookup_async(Prompt prompt, LookupOptions options, LookupCallback done) override;
  Result<Stored> store(const StoreRequest& request) override;
  void store_async(StoreRequest request, StoreCallback done) override;
  uint64_t generation() const override { return generations_.now(); }
  Result<std::string> get_or_compute(const Prompt& prompt,
                                     const std::function<Result<std::string>()>& compute) override;
  Result<Explanation> explain(const Prompt& prompt, const LookupOptions& options) override;
  Result<FeedbackResult> feedback(const Feedback& feedback) override;

  EntryPtr get(std::string_view tenant, std::string_view id) const override;
  bool remove(std::string_view tenant, std::string_view id) override;
  std::vector<EntryPtr> list(const Filter& filter, size_t limit, std::string_view cursor) const override;
  size_t invalidate(const Filter& filter, bool dry_run) override;
  size_t flush(std::string_view tenant, std::optional<std::string_view> name_space) override;

  Result<ErasedSubject> erase(std::string_view tenant, std::string_view subject,
                              std::optional<std::string_view> name_space) override;
  Result<std::vector<EntryPtr>> list_subject(std::string_view tenant, std::string_view subject,
                                             std::optional<std::string_view> name_space, size_t limit,
                                             std::string_view cursor) const override;
  std::string subject_cursor(const Entry& last) const override;
  std::optional<double> learned_threshold(std::string_view tenant, std::string_view user) const override;
  Result<void> reseal() override;
  EncryptionStats encryption_stats() const override;

  Result<void> commit() override;
  void commit_async(CommitCallback done) override;
  Result<void> checkpoint(const std::string& folder) override;

  Result<void> set_options(const Options& options) override;
  Options options() const override;
  CacheStats stats() const override;
  StorageStats storage_stats() const override;
  LearningReport learning(size_t users_max) const override;
  UserThreshold threshold_of(std::string_view tenant, std::string_view user) const override;

  /// Fills the empty cache from `table` and mirrors every change to it from now on. Before anything else.
  Result<void> open_storage(std::unique_ptr<store::EntryTable> table);
  /// Finishes erasures that a crash cut short, and all of them after a restore. Before anything is served.
  void replay_erasures();
  /// One step of the background work: sweep what has expired, train, free. Tests call it by hand.
  void maintain();
  /// A part of maintain(): moves entries into the graphs of large partitions, saves these when it is time.
  void tend_graphs();
  /// The calling thread yields to whatever answers requests, from now on.
  void be_gentle();
  /// Has a thread call maintain() from now on.
  void start_maintenance(std::chrono::milliseconds interval) {
    // Apart: its last step waits for the disk, and what expires must not.
    if (log_ != nullptr) resealer_.emplace(interval, [this] { reseal_some(); });
    maintenance_.emplace(interval, [this] { keep_house(); });
    // A graph may take minutes, and what expires must not wait for it either.
    gardener_.emplace(interval, [this] {
      be_gentle();
      tend_graphs();
    });
  }

 private:
  /// A lookup on its way through the layers.
  struct Query {
    const Prompt& prompt;
    ScopedPrompt scoped;
    const LookupOptions& options;
    std::shared_ptr<const Settings> settings;
    base::Hash128 exact_key;
    base::Hash128 partition;  ///< set once the exact layer has missed
  };
  /// An entry on its way in.
  struct Draft {
    const StoreRequest& request;
    std::shared_ptr<const Settings> settings;
    std::string ineligible;
    std::shared_ptr<const Embedding> embedding;
    std::optional<store::EntryContext> context;
    std::optional<Redaction> redaction;
  };
  /// One erase() under way.
  struct Erasing {
    std::string_view tenant, subject;
    std::optional<std::string_view> name_space;
    const vault::Erasure& wanted;
    bool needs_purge;  ///< bytes of the subject may lie about that no key of its own has sealed
  };
  /// Asynchronous calls under way; the destructor waits for them.
  struct PendingCalls {
    std::atomic<size_t> count{0};
    std::mutex mutex;
    std::condition_variable none_left;
  };
  class Pending;
  struct Loading;

  // cache_lookup.cpp
  RecordPtr find_exact_record(const base::Hash128& key, const ScopedPrompt& scoped,
                              const LookupOptions& options) const;
  Query query_of(const Prompt& prompt, const LookupOptions& options) const;
  std::optional<Lookup> lookup_exact(const Query& query);
  /// What is known without an embedding; else what to embed is the prompt's query.
  std::optional<Lookup> lookup_before_embedding(Query& query);
  Lookup lookup_semantic(const Query& query, Result<Embedding> embedding);
  Lookup decide(const Query& query, Judge& judge, std::span<const float> vector);
  Lookup serve(const Query& query, Lookup lookup, RecordPtr record);
  Lookup miss(const Query& query, Lookup lookup, MissReason reason, std::string detail,
              const CandidateTags& candidates = {});
  Lookup embedding_failed(const Query& query, const Error& error);
  bool is_served(const Query& query) const;
  std::string request_id(const Prompt& prompt, Decision decision);
  LearnedShifts learned_shifts(const Query& query) const;
  std::vector<Candidate> candidates(const Query& query, const Judge& judge, std::span<const float> vector,
                                    size_t k) const;

  // cache_store.cpp
  Result<Draft> draft_of(const StoreRequest& request) const;
  store::EntryFields fields_of(const Draft& draft) const;
  void add_embedding(Draft& draft, Result<Embedding> embedding);
  Result<Stored> store_draft(Draft& draft);
  Result<Stored> store_uncommitted(const StoreRequest& request);
  bool must_commit(const StoreRequest& request) const { return log_ != nullptr && !request.write_behind; }
  bool file(const Draft& draft, const RecordPtr& record, std::span<const float> vector,
            store::EntryBytes whole);
  int64_t expiry(const StoreRequest& request, const Options& options, int64_t now_ms) const;
  Result<Stored> count_refusal(Error error);

  // cache_admin.cpp
  RecordPtr find_owned(std::string_view tenant, std::string_view id) const;
  std::vector<RecordPtr> matching(const Filter& filter, size_t limit, const Record* cursor) const;
  Result<FeedbackResult> feedback_on_decision(const Feedback& feedback);
  Result<FeedbackResult> feedback_on_entry(const Feedback& feedback);
  bool is_callers_own(const Decision& decision, const Feedback& feedback) const;
  FeedbackResult judge_hit(const Decision& decision, const RecordPtr& entry, const Feedback& feedback);
  FeedbackResult judge_untied(const RecordPtr& entry, const Feedback& feedback, const std::string& tau_user);
  void quarantine(const RecordPtr& entry);
  void learn_label(const Decision& decision, const RecordPtr& entry, const Feedback& feedback);
  Explanation::Required required_of(const Query& query, const Judge& judge) const;

  // cache_verified.cpp
  Lookup decide_verified(const Query& query, Judge& judge, std::span<const float> vector);
  std::vector<Examined> examine(const Query& query, Judge& judge, std::span<const float> vector) const;

  // cache_storage.cpp
  void take_loaded(Loading& loading, store::EntryBytes bytes, const base::Hash128& key,
                   const base::Hash128& id) const;
  bool has_usable_vector(const store::EntryView& view) const;
  void trim_loaded(Loading& loading, size_t bytes_max) const;
  void file_loaded(Loading& loading);
  void index_loaded(const Loading& loading);
  void evict(const Options& options);
  static Quota quota_of(const Options& options) {
    return {options.tenant_entries_max, options.tenant_bytes_max};
  }

  // cache_erase.cpp
  bool is_erased(const Record& record) const;
  bool withdraw_if_erased(const RecordPtr& record);
  std::vector<RecordPtr> records_of(std::string_view tenant, std::string_view subject,
                                    std::optional<std::string_view> name_space,
                                    uint64_t sequence_end = UINT64_MAX) const;
  uint64_t count_without_data_key(std::span<const RecordPtr> records, std::string_view subject) const;
  bool forget_tau(const base::Hash128& user);
  bool has_shared_entries() const;
  std::vector<vault::Erasure> unfinished_of(const base::Hash128& subject) const;
  std::vector<base::Hash128> remove_late(const Erasing& erasing, ErasedSubject& erased);
  Result<void> destroy_keys(const Erasing& erasing, ErasedSubject& erased);
  Result<void> erase_from_disk(const Erasing& erasing, std::vector<RecordPtr> removed, ErasedSubject& erased);
  Result<void> destroy_keys_of(std::span<const vault::Erasure> pending);

  // cache_reseal.cpp
  void begin_reseal();
  void reseal_some();
  bool reseal_is_outdated() const;
  Result<void> finish_reseal();

  // cache_open.cpp
  void keep_house();
  void return_memory();
  // cache_graphs.cpp
  void save_graphs(double share);
  void describe_graphs(StorageStats& stats) const;
  void summarise(CacheStats& stats) const;
  std::shared_ptr<const Settings> settings_of(const Options& options, const Settings* before) const;

  const std::shared_ptr<const Embedder> embedder_;        // null: exact layer only
  const std::shared_ptr<vault::Vault> vault_;             // null: nothing is sealed
  const std::shared_ptr<vault::ErasureLedger> erasures_;  // null: erasures are not remembered
  const base::SecretKey secret_;
  const base::Clock& clock_;
  const Keys keys_;
  SettingsCell settings_;
  std::mutex settings_mutex_;  // one set_options at a time
  mutable Counters counters_;
  TauManager tau_;
  Budgets budgets_;
  LabelScores label_scores_;
  LearnedState learned_state_;  // maintain()'s and the destructor's own
  EntryStore entries_;
  GraphSnapshots graphs_;
  RecentDecisions decisions_;
  Generations generations_;
  Flights flights_;
  PcaFeed pca_;
  size_t freed_bytes_ = 0;                // maintain()'s own
  StorageStats found_at_start_;           // set once by open_storage()
  std::unique_ptr<store::EntryLog> log_;  // null: memory only; its thread uses entries_

  /// Walking all users for every figure of a scrape would be dear: kept until something was learned.
  struct Summaries {
    std::array<uint64_t, 3> made_at{UINT64_MAX};  ///< tau updates, users, labels
    TauSummary tau;
    BudgetSummary budgets;
  };
  mutable std::mutex summaries_mutex_;
  mutable Summaries summaries_;  // guarded by summaries_mutex_

  const std::shared_ptr<PendingCalls> pending_ = std::make_shared<PendingCalls>();

  std::mutex erase_mutex_;  // one erase() at a time: they rewrite the same files
  std::atomic<int64_t> erased_until_ms_{
      INT64_MIN};  // the newest erasure's time, set before it collects entries
  /// Entries that are still to be sealed again; the newest last.
  struct Reseal {
    std::mutex mutex;
    std::vector<base::Hash128> waiting;  // ids; guarded by mutex. Not the entries: they may leave meanwhile
    vault::KeyId key;                    // guarded by mutex: current when it began
    uint64_t key_changes = 0;            // guarded by mutex: of the vault, when it began
    std::atomic<size_t> count{0};
    std::atomic<bool> is_running{false};
    int64_t next_us = 0;  // reseal_some()'s own
  };
  Reseal reseal_;
  const std::string run_ = base::random_hex(8);  // names this run in cursors

  /// Graphs that are being built.
  struct Building {
    mutable std::mutex mutex;
    std::vector<std::shared_ptr<Partition>> partitions;  // guarded by mutex
    std::atomic<bool> is_stopping{false};
    int64_t save_next_us = 0;  // tend_graphs()'s own, as the next
    bool is_gentle = false;
  };
  Building building_;

  std::optional<Maintenance> resealer_;  // last, as the next two
  std::optional<Maintenance> gardener_;
  std::optional<Maintenance> maintenance_;  // last: its thread uses everything above
};

/// EnhancedCache::open with a clock of the caller's; `is_maintained` false: no thread, call maintain().
/// `table` takes the place of the one in Options::storage.path; null: that one, or none.
Result<std::unique_ptr<CacheImpl>> open_cache(const Options& options,
                                              std::shared_ptr<const Embedder> embedder,
                                              const base::Clock& clock, bool is_maintained,
                                              std::unique_ptr<store::EntryTable> table = nullptr);

}  // namespace enhanced_gptcache::cache
