#pragma once
// What an EnhancedCache can be told, as plain fields with defaults and units in their names.
// The server fills them from its settings table; a library user sets them by hand.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enhanced_gptcache {

namespace vault {
class ErasureLedger;
class Vault;
}  // namespace vault

enum class DecisionPolicy {
  kStatic,    ///< similarity >= similarity_threshold
  kAdaptive,  ///< similarity >= max(similarity_threshold, tau of this user)
  kVerified,  ///< probability by the verifier; kAdaptive while there is no verifier
};
std::string_view to_string(DecisionPolicy policy);
enum class CacheMode {
  kServe,
  kShadow,  ///< decide and count, never serve
};

/// The context filter: is the conversation before the question the same one?
struct ContextOptions {
  bool enabled = true;
  double divergence_threshold = 0.3;  ///< 1 - cosine of the context embeddings, 0..2
  size_t window_size = 3;             ///< last turns that are compared
};

struct PcaOptions {
  bool enabled = true;
  size_t target_dimensions = 128;
  size_t training_samples = 100;             ///< first fit after so many vectors
  size_t compression_threshold = 100;        ///< active from so many entries on
  std::string model_path;                    ///< empty: kept in memory only
  std::shared_ptr<vault::Vault> vault = {};  ///< seals the file; null: it is plain
};

/// Tau: each user's learned similarity threshold (MeanCache, arXiv 2403.02694).
struct TauOptions {
  bool enabled = true;
  double initial_tau = 0.85;
  double learning_rate = 0.01;
  size_t num_users = 10;               ///< taus combined in one aggregation, at most
  size_t aggregation_frequency = 100;  ///< updates between aggregations
  double tau_min = 0.65;               ///< the cache sets this to similarity_threshold
  double tau_max = 0.99;
  /// delta: tau settles where this share of hits is wrong, and kVerified serves what is wrong no likelier.
  double target_error_rate = 0.02;
};

/// What becomes of an entry in which personal data is found by its form (privacy/personal_data.h).
enum class PersonalData {
  kStore,   ///< it is stored as any other
  kRedact,  ///< in a question: stored without its text, for the exact layer alone; in an answer: not stored
  kSkip,    ///< it is not stored
};
struct PrivacyOptions {
  PersonalData personal_data = PersonalData::kStore;
  std::vector<std::pair<std::string, PersonalData>> by_namespace;  ///< namespaces with a policy of their own
  /// Kinds that count; unknown names are left out.
  std::vector<std::string> kinds = {"email", "phone", "card", "iban", "ip", "secret", "national_id"};
};

/// When an entry is on disk for good.
enum class StorageSync {
  kAlways,    ///< a commit waits for fsync: survives a loss of power
  kInterval,  ///< a commit survives the process at once, a loss of power after sync_interval_ms
  kOs,        ///< a commit survives the process at once, a loss of power when the system has written it
};

/// The mirror of the cache on disk: what leaves memory leaves the disk, and a restart is warm.
struct StorageOptions {
  /// A folder that this cache alone uses, made when missing; empty: memory only. With a path,
  /// Options::key_bytes must be the same every time. Not changed by set_options.
  std::string path;
  StorageSync sync = StorageSync::kInterval;
  int64_t sync_interval_ms = 1000;         ///< kInterval, and answers that nobody waits for
  size_t bytes_max = size_t{2048} << 20U;  ///< of its files; the least recently used entries go first
  /// The disk gets hashes of prompts, not their texts: after a restart those entries are exact matches only.
  bool hashes_prompts = false;
  /// Encryption at rest, of entries and of what Options::state_folder holds; null: none. With a path its
  /// keystore is open. Neither this nor `erasures` is changed by set_options.
  std::shared_ptr<vault::Vault> vault = {};
  /// What was erased and must stay so; null: erase() is not remembered.
  std::shared_ptr<vault::ErasureLedger> erasures = {};
  /// Open without the keystore that entries of subjects were sealed with: those are lost then.
  bool accepts_other_keystore = false;
};

struct Options {
  double similarity_threshold = 0.65;         ///< below it nothing is a candidate, 0..1
  size_t bytes_max = size_t{100} << 20U;      ///< what the cache may hold, by real bytes
  size_t entry_bytes_max = size_t{1} << 20U;  ///< a larger entry is not stored
  size_t partitions_max = 100'000;            ///< the least recently used are dropped above it
  /// Entries from which on a partition is searched by a graph: faster, and now and then it misses one. Not
  /// changed by set_options.
  size_t graph_from = 16'384;
  /// What one tenant may have: beyond it its own least recently used entries go, nobody else's. 0: no limit.
  size_t tenant_entries_max = 0;
  size_t tenant_bytes_max =
      0;  ///< real bytes of its entries, without the indices; a larger entry is not stored
  DecisionPolicy decision = DecisionPolicy::kAdaptive;
  /// The verifier's artifact (kVerified), which SHA256SUMS beside it lists; its pair encoder is
  /// EmbedderOptions::pair_encoder_path. Empty: none, and kVerified decides as kAdaptive does. Named and
  /// missing, damaged or of another model: only exact hits are served (CacheStats::verifier_problem says
  /// why).
  std::string verifier_path;
  CacheMode mode = CacheMode::kServe;
  double serve_percent = 100.0;  ///< share of would-be semantic hits that are served, 0..100
  /// Namespaces with a share of their own.
  std::vector<std::pair<std::string, double>> serve_percent_by_namespace;
  /// kVerified: labels of a tenant's hits move its threshold (match/error_budget.h).
  bool error_budget = true;
  /// Where taus and error budgets are kept over a restart; empty: nowhere. Use it with `key_bytes`.
  std::string state_folder;
  int64_t ttl_ms = 0;                     ///< default lifetime of an entry; 0: no limit
  int64_t time_bound_ttl_ms = 3'600'000;  ///< most for what asks about "today", "latest"; 0: no limit
  double ttl_jitter = 0.05;               ///< +- share of the TTL, so that entries do not expire together
  double unknown_token_share_max = 0.10;  ///< more [UNK] than this: exact layer only
  /// An entry answers other principals of its tenant by meaning once so many have asked exactly its question
  /// (its own counts), or its writer was trusted. 1: at once.
  size_t share_after = 1;
  /// What another principal asked answers by meaning only if its text is at most so many times as long as the
  /// question (or less than 40 bytes longer), or its writer was trusted. 0: no limit.
  double length_ratio_max = 2.5;
  size_t candidates = 8;  ///< k of the nearest-neighbour search
  ContextOptions context;
  PcaOptions pca;
  TauOptions tau;
  StorageOptions storage;
  PrivacyOptions privacy;
  /// Names of guards that are not asked ("numbers", "names"...); to measure what each one is worth.
  std::vector<std::string> guards_off;
  /// 32 secret bytes that key every hash; empty: random, so nothing stored is found by another instance.
  std::string key_bytes;
};

}  // namespace enhanced_gptcache
