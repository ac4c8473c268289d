#include "enhanced_gptcache/tau_manager.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "base/epoch.h"
#include "base/keyed_hash.h"
#include "base/pointer_map.h"
#include "match/decision.h"
#include "match/tau_group.h"
#include "match/tau_state.h"
#include "match/user_table.h"

namespace enhanced_gptcache {
namespace {

using match::kTauNameBytesMax;
using match::kTauTenantsMax;
using match::kTauUsersMax;
using match::SavedTau;
using match::TauGroup;
using match::TauState;
using match::UserTau;

constexpr std::string_view kDefaultUser = "default";

double clamp_finite(double value, double low, double high, double otherwise) {
  return std::isfinite(value) ? std::clamp(value, low, high) : otherwise;
}

/// Options that cannot do harm, whatever was passed; the settings table has refused bad ones before.
TauOptions sane(TauOptions options) {
  const TauOptions defaults;
  options.tau_min = clamp_finite(options.tau_min, 0, 1, defaults.tau_min);
  options.tau_max =
      clamp_finite(options.tau_max, options.tau_min, 1, std::max(options.tau_min, defaults.tau_max));
  options.initial_tau = clamp_finite(options.initial_tau, options.tau_min, options.tau_max, options.tau_max);
  options.learning_rate = clamp_finite(options.learning_rate, 0, 1, defaults.learning_rate);
  options.target_error_rate = clamp_finite(options.target_error_rate, 1e-6, 0.5, defaults.target_error_rate);
  options.num_users = std::max<size_t>(1, options.num_users);
  options.aggregation_frequency = std::max<size_t>(1, options.aggregation_frequency);
  return options;
}

/// The step of MeanCache with asymmetric sizes: false hits at rate delta cancel confirmed ones.
double step_of(TauOutcome outcome, const TauOptions& options) {
  const double delta = std::min(options.target_error_rate, match::kMeanErrorAtMost);
  switch (outcome) {
    case TauOutcome::kFalseHit:
      return options.learning_rate;
    case TauOutcome::kConfirmedHit:
      return -options.learning_rate * delta / (1 - delta);
    case TauOutcome::kLostHit:
      return -options.learning_rate;
  }
  return 0;
}

}  // namespace

class TauManager::Impl {
 public:
  explicit Impl(const TauOptions& options) : strays_(kTauUsersMax) { set_options(options); }

  TauView tau(std::string_view user, std::string_view tenant) const;
  double update(std::string_view user, TauOutcome outcome, std::string_view tenant);
  bool forget(std::string_view user);
  void set_options(const TauOptions& options);
  std::string serialise() const;
  Result<void> restore(std::string_view bytes);
  TauSummary summary() const;
  TauListing listing(size_t users_max) const;

  double global_tau() const { return mean_start_.load(std::memory_order_relaxed); }
  uint64_t updates() const { return updates_.load(std::memory_order_relaxed); }
  uint64_t aggregations() const { return aggregations_.load(std::memory_order_relaxed); }
  size_t users() const { return users_.load(std::memory_order_relaxed); }

 private:
  static std::string key_of(std::string_view user);
  static base::Hash128 key_of_tenant(std::string_view tenant);
  static std::vector<SavedTau> saved_of(const match::UserTable& users);

  TauGroup& group_to_write(const base::Hash128& key);
  UserTau& user_to_write(TauGroup& group, const std::string& name);
  void drop_least_labelled(const TauGroup& but);
  void drop_user_of_largest();
  void drop_all();
  void insert_saved(match::UserTable& table, const std::vector<SavedTau>& users);
  void publish();
  template <typename Visit>
  void each_user(const Visit& visit) const;

  // Read without the mutex.
  base::PointerMap<TauGroup> map_;
  match::UserTable strays_;  // of a state that knew no tenants, until their next label tells whose they are
  std::atomic<bool> enabled_{true};
  std::atomic<double> tau_min_{0};
  std::atomic<double> initial_{0};
  std::atomic<double> mean_start_{0};
  std::atomic<size_t> tenants_{0};
  std::atomic<size_t> users_{0};
  std::atomic<uint64_t> updates_{0};
  std::atomic<uint64_t> aggregations_{0};

  mutable std::mutex mutex_;  // writers
  TauOptions options_;
  std::map<base::Hash128, std::unique_ptr<TauGroup>> groups_;
  std::deque<TauRound> rounds_;
};

std::string TauManager::Impl::key_of(std::string_view user) {
  if (user.size() <= kTauNameBytesMax) return std::string(user);
  static constexpr base::SecretKey kPublicKey{};
  return "#" + base::keyed_hash(kPublicKey, "tau name", {user}).hex();
}

base::Hash128 TauManager::Impl::key_of_tenant(std::string_view tenant) {
  static constexpr base::SecretKey kPublicKey{};
  return base::keyed_hash(kPublicKey, "tau tenant", {tenant});
}

TauView TauManager::Impl::tau(std::string_view user, std::string_view tenant) const {
  if (!enabled_.load(std::memory_order_acquire)) return {tau_min_.load(std::memory_order_relaxed), "off"};
  const base::EpochGuard guard;
  const bool is_short = user.size() <= kTauNameBytesMax;
  const std::string hashed = is_short ? std::string() : key_of(user);
  const std::string_view name = is_short ? user : std::string_view(hashed);
  // Before the first label, the usual case costs no hash.
  const bool has_tenants = tenants_.load(std::memory_order_acquire) > 0;
  const TauGroup* group = has_tenants ? map_.find(key_of_tenant(tenant)) : nullptr;
  const UserTau* found = group == nullptr ? nullptr : group->users.find(name);
  if (found == nullptr) found = strays_.find(name);
  if (found != nullptr) return {found->tau.load(std::memory_order_relaxed), "user"};
  if (group == nullptr) return {initial_.load(std::memory_order_relaxed), "initial"};
  return {group->start.load(std::memory_order_relaxed),
          group->is_learned.load(std::memory_order_relaxed) ? "global" : "initial"};
}

TauGroup& TauManager::Impl::group_to_write(const base::Hash128& key) {
  std::unique_ptr<TauGroup>& slot = groups_[key];
  if (slot != nullptr) return *slot;
  slot = std::make_unique<TauGroup>(key, kTauUsersMax);
  TauGroup& added = *slot;
  added.publish_start(options_);
  map_.exchange(key, &added);
  if (groups_.size() > kTauTenantsMax) drop_least_labelled(added);
  tenants_.store(groups_.size(), std::memory_order_release);
  return added;
}

/// Not the least recently labelled: whoever can make up tenants could push the others out with them.
void TauManager::Impl::drop_least_labelled(const TauGroup& but) {
  auto least = groups_.end();
  for (auto one = groups_.begin(); one != groups_.end(); ++one) {
    if (one->second.get() == &but) continue;
    const auto rank = [](const TauGroup& group) { return std::pair(group.updates, group.last_update); };
    if (least == groups_.end() || rank(*one->second) < rank(*least->second)) least = one;
  }
  users_.fetch_sub(least->second->users.size(), std::memory_order_relaxed);
  map_.erase(least->second->key, least->second.get());
  base::epoch_retire(least->second.release());
  groups_.erase(least);
}

/// So that no tenant's users push out those of one that has fewer.
void TauManager::Impl::drop_user_of_largest() {
  match::UserTable* largest = &strays_;
  for (const auto& [key, group] : groups_)
    if (group->users.size() > largest->size()) largest = &group->users;
  if (largest->erase(std::string(largest->oldest()->name))) users_.fetch_sub(1, std::memory_order_relaxed);
}

UserTau& TauManager::Impl::user_to_write(TauGroup& group, const std::string& name) {
  if (group.users.find(name) != nullptr) return group.user_to_write(name);
  const UserTau* stray = strays_.find(name);
  if (stray == nullptr && users() >= kTauUsersMax) drop_user_of_largest();
  UserTau& added = group.user_to_write(name);
  if (stray == nullptr) {
    users_.fetch_add(1, std::memory_order_relaxed);
    return added;
  }
  added.tau.store(stray->tau.load(std::memory_order_relaxed), std::memory_order_relaxed);
  added.samples = stray->samples;
  strays_.erase(name);
  return added;
}

double TauManager::Impl::update(std::string_view user, TauOutcome outcome, std::string_view tenant) {
  const std::string key = key_of(user);
  const std::lock_guard lock(mutex_);
  if (!options_.enabled) return options_.tau_min;
  TauGroup& group = group_to_write(key_of_tenant(tenant));
  UserTau& known = user_to_write(group, key);
  const double tau = std::clamp(known.tau.load(std::memory_order_relaxed) + step_of(outcome, options_),
                                options_.tau_min, options_.tau_max);
  known.tau.store(tau, std::memory_order_relaxed);
  ++known.samples;
  known.tenant_update = ++group.updates;
  known.last_update = group.last_update = updates_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (group.updates % options_.aggregation_frequency != 0) return tau;
  if (const auto round = group.aggregate(options_)) {
    aggregations_.fetch_add(1, std::memory_order_relaxed);
    if (rounds_.size() == kTauRoundsKept) rounds_.pop_front();
    rounds_.push_back(*round);
    publish();
  }
  return tau;
}

bool TauManager::Impl::forget(std::string_view user) {
  const std::string key = key_of(user);
  const std::lock_guard lock(mutex_);
  size_t forgotten = strays_.erase(key) ? 1 : 0;
  for (const auto& [its_key, group] : groups_) forgotten += group->users.erase(key) ? 1 : 0;
  users_.fetch_sub(forgotten, std::memory_order_relaxed);
  return forgotten > 0;
}

void TauManager::Impl::publish() {
  double sum = 0;
  size_t learned = 0;
  for (const auto& [key, group] : groups_) {
    if (group->aggregations == 0) continue;
    sum += group->start.load(std::memory_order_relaxed);
    ++learned;
  }
  mean_start_.store(learned == 0 ? options_.initial_tau : sum / static_cast<double>(learned),
                    std::memory_order_relaxed);
}

void TauManager::Impl::set_options(const TauOptions& options) {
  const std::lock_guard lock(mutex_);
  options_ = sane(options);
  for (const auto& [key, group] : groups_) {
    group->clamp_users(options_);
    group->publish_start(options_);
  }
  for (UserTau* user = strays_.newest(); user != nullptr; user = user->older)
    user->tau.store(std::clamp(user->tau.load(std::memory_order_relaxed), options_.tau_min, options_.tau_max),
                    std::memory_order_relaxed);
  publish();
  initial_.store(options_.initial_tau, std::memory_order_relaxed);
  tau_min_.store(options_.tau_min, std::memory_order_relaxed);
  enabled_.store(options_.enabled, std::memory_order_release);
}

template <typename Visit>
void TauManager::Impl::each_user(const Visit& visit) const {
  for (const UserTau* user = strays_.newest(); user != nullptr; user = user->older) visit(*user);
  for (const auto& [key, group] : groups_)
    for (const UserTau* user = std::as_const(group->users).newest(); user != nullptr; user = user->older)
      visit(*user);
}

TauSummary TauManager::Impl::summary() const {
  TauSummary summary;
  const std::lock_guard lock(mutex_);
  each_user([&](const UserTau& user) {
    const double tau = user.tau.load(std::memory_order_relaxed);
    ++(tau < options_.initial_tau   ? summary.below
       : tau > options_.initial_tau ? summary.above
                                    : summary.initial);
    if (tau < options_.initial_tau) summary.mean_below += tau;
    if (tau > options_.initial_tau) summary.mean_above += tau;
  });
  summary.mean_below /= static_cast<double>(std::max<uint64_t>(1, summary.below));
  summary.mean_above /= static_cast<double>(std::max<uint64_t>(1, summary.above));
  return summary;
}

TauListing TauManager::Impl::listing(size_t users_max) const {
  TauListing listing;
  const std::lock_guard lock(mutex_);
  listing.options = options_;
  listing.global = global_tau();
  listing.is_learned = std::any_of(groups_.begin(), groups_.end(),
                                   [](const auto& one) { return one.second->aggregations > 0; });
  listing.updates = updates();
  listing.aggregations = aggregations();
  listing.users = users();
  each_user([&](const UserTau& user) {
    listing.newest.push_back(
        {user.name, user.tau.load(std::memory_order_relaxed), user.samples, user.last_update});
  });
  const size_t count = std::min(users_max, listing.newest.size());
  std::partial_sort(listing.newest.begin(), listing.newest.begin() + static_cast<std::ptrdiff_t>(count),
                    listing.newest.end(),
                    [](const TauUser& a, const TauUser& b) { return a.last_update > b.last_update; });
  listing.newest.resize(count);
  listing.rounds.assign(rounds_.begin(), rounds_.end());
  return listing;
}

std::vector<SavedTau> TauManager::Impl::saved_of(const match::UserTable& users) {
  std::vector<SavedTau> saved;
  for (const UserTau* user = users.oldest(); user != nullptr; user = user->newer)
    saved.push_back({user->name, user->tau.load(std::memory_order_relaxed), user->samples, user->last_update,
                     user->tenant_update});
  return saved;
}

std::string TauManager::Impl::serialise() const {
  const std::lock_guard lock(mutex_);
  TauState state{updates(), aggregations(), {}, saved_of(strays_)};
  for (const auto& [key, group] : groups_)
    state.tenants.push_back({key, group->updates, group->aggregations, group->last_update, group->global,
                             saved_of(group->users)});
  return match::write_tau_state(state);
}

void TauManager::Impl::drop_all() {
  for (auto& [key, group] : groups_) {
    map_.erase(group->key, group.get());
    base::epoch_retire(group.release());
  }
  groups_.clear();
  strays_.clear();
  users_.store(0, std::memory_order_relaxed);
}

void TauManager::Impl::insert_saved(match::UserTable& table, const std::vector<SavedTau>& users) {
  for (const SavedTau& user : users) {
    if (table.find(user.name) != nullptr || this->users() >= kTauUsersMax) continue;
    UserTau* added = table.insert(user.name, std::clamp(user.tau, options_.tau_min, options_.tau_max));
    added->samples = user.samples;
    added->last_update = user.last_update;
    added->tenant_update = user.tenant_update;
    users_.fetch_add(1, std::memory_order_relaxed);
  }
}

Result<void> TauManager::Impl::restore(std::string_view bytes) {
  EGPTC_TRY(const TauState state, match::read_tau_state(bytes));
  const std::lock_guard lock(mutex_);
  drop_all();
  for (const match::SavedTauTenant& saved : state.tenants) {
    TauGroup& group = group_to_write(saved.key);
    group.updates = saved.updates;
    group.aggregations = saved.aggregations;
    group.last_update = saved.last_update;
    group.global = saved.global;
    group.publish_start(options_);
    insert_saved(group.users, saved.users);
  }
  insert_saved(strays_, state.strays);
  tenants_.store(groups_.size(), std::memory_order_release);
  updates_.store(state.updates, std::memory_order_relaxed);
  aggregations_.store(state.aggregations, std::memory_order_relaxed);
  publish();
  return {};
}

TauManager::TauManager(const TauOptions& options) : impl_(std::make_unique<Impl>(options)) {}
TauManager::~TauManager() = default;
TauView TauManager::tau(std::string_view user, std::string_view tenant) const {
  return impl_->tau(user, tenant);
}
double TauManager::update(std::string_view user, TauOutcome outcome, std::string_view tenant) {
  return impl_->update(user, outcome, tenant);
}
bool TauManager::forget(std::string_view user) { return impl_->forget(user); }
double TauManager::global_tau() const { return impl_->global_tau(); }
uint64_t TauManager::updates() const { return impl_->updates(); }
uint64_t TauManager::aggregations() const { return impl_->aggregations(); }
TauSummary TauManager::summary() const { return impl_->summary(); }
TauListing TauManager::listing(size_t users_max) const { return impl_->listing(users_max); }
size_t TauManager::users() const { return impl_->users(); }
void TauManager::set_options(const TauOptions& options) { impl_->set_options(options); }
std::string TauManager::serialise() const { return impl_->serialise(); }
Result<void> TauManager::restore(std::string_view bytes) { return impl_->restore(bytes); }

void TauManager::update_threshold(bool predicted_hit, bool was_correct) {
  // A correct refusal teaches nothing: the threshold was where it should be.
  if (predicted_hit)
    impl_->update(kDefaultUser, was_correct ? TauOutcome::kConfirmedHit : TauOutcome::kFalseHit, {});
  else if (!was_correct)
    impl_->update(kDefaultUser, TauOutcome::kLostHit, {});
}
double TauManager::current_threshold() const { return impl_->tau(kDefaultUser, {}).tau; }

}  // namespace enhanced_gptcache
