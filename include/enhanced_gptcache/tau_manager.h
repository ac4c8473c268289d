#pragma once
// Tau: a similarity threshold per user that learns from feedback, and a global one per tenant that its new
// users start from (MeanCache, arXiv 2403.02694; federated aggregation of thresholds). Only taus and counts
// leave a user's scope, and nothing leaves a tenant's.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

enum class TauOutcome {
  kFalseHit,      ///< served, wrong: tau + learning_rate
  kConfirmedHit,  ///< served, right: tau - learning_rate * delta / (1 - delta)
  kLostHit,       ///< not served, would have been right: tau - learning_rate
};

struct TauView {
  double tau = 0;
  const char* source = "initial";  ///< "user", "global", "initial", "off"
};

/// One user, as lists show it.
struct TauUser {
  std::string name;  ///< as given to update(); a longer one than 128 bytes as "#" and its hash
  double tau = 0;
  uint64_t samples = 0;      ///< labels of this user
  uint64_t last_update = 0;  ///< number of the latest of them among all
};
/// One aggregation.
struct TauRound {
  uint64_t number = 0;  ///< of this tenant's, from 1
  int64_t at_ms = 0;    ///< wall clock
  uint64_t users = 0;   ///< that took part
  double from = 0;      ///< global tau before it
  double combined = 0;  ///< what these users say together
  double to = 0;        ///< global tau after it, at most one learning rate away
};
/// What an operator may look at: pseudonyms, thresholds and counts.
struct TauListing {
  TauOptions options;       ///< in force
  double global = 0;        ///< global_tau()
  bool is_learned = false;  ///< `global` comes from aggregations, not from initial_tau
  uint64_t updates = 0, aggregations = 0, users = 0;
  std::vector<TauUser> newest;   ///< the most recently labelled first
  std::vector<TauRound> rounds;  ///< the last kTauRoundsKept since this object was made, oldest first
};
inline constexpr size_t kTauRoundsKept = 200;

/// Thread rule: any thread; reading a tau never waits for updates.
class TauManager {
 public:
  explicit TauManager(const TauOptions& options = {});
  ~TauManager();
  TauManager(const TauManager&) = delete;
  TauManager& operator=(const TauManager&) = delete;

  /// `tenant` is whose users are aggregated together; a program with one tenant leaves it out.
  TauView tau(std::string_view user, std::string_view tenant = {}) const;
  /// The user's tau after the update, clamped to [tau_min, tau_max]. Users are capped at 100,000 (the least
  /// recent of the tenant with the most goes) and tenants at 4,096 (the one with the fewest labels goes).
  /// When taus are off nothing is learned and tau_min is returned.
  double update(std::string_view user, TauOutcome outcome, std::string_view tenant = {});
  /// Erasure: forgets what this user's labels taught about the user, in every tenant. False when there was
  /// nothing.
  bool forget(std::string_view user);
  /// The mean of what new users of each tenant start from, of the tenants that have aggregated.
  double global_tau() const;
  uint64_t updates() const;
  uint64_t aggregations() const;
  size_t users() const;
  /// Walks all users.
  TauSummary summary() const;
  /// At most `users_max` users. Updates wait meanwhile.
  TauListing listing(size_t users_max) const;
  /// Keeps the learned taus, clamped to the new limits.
  void set_options(const TauOptions& options);

  /// All learned state as versioned bytes with a checksum (docs/formats.md).
  std::string serialise() const;
  /// Replaces the learned state. kCorrupt names what is wrong, kUnsupported a newer version; the object stays
  /// as it was.
  Result<void> restore(std::string_view bytes);

  // The guide's names, for the one default user.
  void update_threshold(bool predicted_hit, bool was_correct);
  double current_threshold() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache
