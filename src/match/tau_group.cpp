#include "match/tau_group.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "match/tau_aggregate.h"

namespace enhanced_gptcache::match {
namespace {

/// A user takes part in aggregations while the latest update is among this many windows of updates.
constexpr uint64_t kActiveWindows = 10;

}  // namespace

UserTau& TauGroup::user_to_write(const std::string& name) {
  UserTau* known = users.find_to_write(name);
  if (known == nullptr) return *users.insert(name, start.load(std::memory_order_relaxed));
  users.touch(known);
  return *known;
}

/// Draws num_users of the recently active ones and moves the start towards what they say, by at most one
/// learning rate: a round changes a new user's start no more than one label changes a user.
std::optional<TauRound> TauGroup::aggregate(const TauOptions& options) {
  const uint64_t span = kActiveWindows * options.aggregation_frequency;
  std::vector<std::pair<uint64_t, TauReport>> drawn;
  for (const UserTau* user = users.newest(); user != nullptr && updates - user->tenant_update < span;
       user = user->older)
    drawn.push_back(
        {draw_rank(user->name, aggregations), {user->tau.load(std::memory_order_relaxed), user->samples}});
  if (drawn.empty()) return std::nullopt;  // the only active users were just forgotten
  const size_t count = std::min(drawn.size(), options.num_users);
  std::partial_sort(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(count), drawn.end(),
                    [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TauReport> reports;
  for (size_t i = 0; i < count; ++i) reports.push_back(drawn[i].second);
  const double from = start.load(std::memory_order_relaxed);
  const double combined = combine_taus(std::move(reports));
  global = step_towards(from, combined, options.learning_rate);
  ++aggregations;
  publish_start(options);
  return TauRound{aggregations, base::system_clock().wall_ms(), count, from, combined, global};
}

void TauGroup::publish_start(const TauOptions& options) {
  const bool learned = aggregations > 0;
  start.store(learned ? std::clamp(global, options.tau_min, options.tau_max) : options.initial_tau,
              std::memory_order_relaxed);
  is_learned.store(learned, std::memory_order_relaxed);
}

void TauGroup::clamp_users(const TauOptions& options) {
  for (UserTau* user = users.newest(); user != nullptr; user = user->older)
    user->tau.store(std::clamp(user->tau.load(std::memory_order_relaxed), options.tau_min, options.tau_max),
                    std::memory_order_relaxed);
}

}  // namespace enhanced_gptcache::match
