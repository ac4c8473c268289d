#pragma once
// Tau: a similarity threshold per user that learns from feedback, and a global one new users start
// from (MeanCache, arXiv 2403.02694; federated aggregation of thresholds). Only taus and counts leave a
// user's scope.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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

/// Thread rule: any thread; reading a tau never waits for updates.
class TauManager {
 public:
  explicit TauManager(const TauOptions& options = {});
  ~TauManager();
  TauManager(const TauManager&) = delete;
  TauManager& operator=(const TauManager&) = delete;

  TauView tau(std::string_view user) const;
  /// The user's tau after the update, clamped to [tau_min, tau_max]. Users are capped (LRU, 100,000). When
  /// taus are off nothing is learned and tau_min is returned.
  double update(std::string_view user, TauOutcome outcome);
  /// Erasure: forgets what this user's labels taught about the user. False when there was nothing.
  bool forget(std::string_view user);
  double global_tau() const;
  uint64_t updates() const;
  uint64_t aggregations() const;
  size_t users() const;
  /// Walks all users.
  TauSummary summary() const;
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
