#pragma once
// The taus of one tenant: its users, and what new users of it start from. One tenant's labels never reach
// another's users.

#include <atomic>
#include <cstdint>
#include <optional>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/tau_manager.h"
#include "match/user_table.h"

namespace enhanced_gptcache::match {

/// Thread rule: users.find() and the atomics from any thread that holds an EpochGuard; everything else by one
/// writer at a time.
struct TauGroup {
  TauGroup(const base::Hash128& its_key, size_t users_max) : key(its_key), users(users_max) {}

  /// The user, who is added when unknown, as the most recent one.
  UserTau& user_to_write(const std::string& name);
  /// Moves the start by what some of the recently active users say together; none: nobody was active.
  /// `options` are sane.
  std::optional<TauRound> aggregate(const TauOptions& options);
  void publish_start(const TauOptions& options);
  /// After a change of the limits.
  void clamp_users(const TauOptions& options);

  const base::Hash128 key;
  UserTable users;
  std::atomic<double> start{0};
  std::atomic<bool> is_learned{false};  ///< `start` comes from aggregations
  // The writer's own.
  uint64_t updates = 0;
  uint64_t aggregations = 0;
  uint64_t last_update = 0;  ///< number of its latest update among all tenants'
  double global = 0;         ///< meaningful once aggregations > 0
};

}  // namespace enhanced_gptcache::match
