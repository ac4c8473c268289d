#include "enhanced_gptcache/tau_manager.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/keyed_hash.h"
#include "match/decision.h"
#include "match/state_bytes.h"
#include "match/tau_aggregate.h"
#include "match/user_table.h"

namespace enhanced_gptcache {
namespace {

using match::UserTau;

constexpr size_t kUsersMax = 100'000;
/// Longer names are kept as a hash: what callers send must not decide how much is remembered.
constexpr size_t kNameBytesMax = 128;
/// A user takes part in aggregations while the latest update is among this many windows of updates.
constexpr uint64_t kActiveWindows = 10;
constexpr std::string_view kMagic = "EGPTCTAU";
constexpr uint32_t kVersion = 1;
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
  explicit Impl(const TauOptions& options) : users_(kUsersMax) { set_options(options); }

  TauView tau(std::string_view user) const;
  double update(std::string_view user, TauOutcome outcome);
  bool forget(std::string_view user);
  void set_options(const TauOptions& options);
  std::string serialise() const;
  Result<void> restore(std::string_view bytes);
  TauSummary summary() const;
  TauListing listing(size_t users_max) const;

  double global_tau() const { return start_.load(std::memory_order_relaxed); }
  uint64_t updates() const { return updates_.load(std::memory_order_relaxed); }
  uint64_t aggregations() const { return aggregations_.load(std::memory_order_relaxed); }
  size_t users() const { return users_.size(); }

 private:
  struct Saved {
    std::string name;
    double tau = 0;
    uint64_t samples = 0;
    uint64_t last_update = 0;
  };

  static std::string key_of(std::string_view user);
  void aggregate();
  void publish_start();
  void apply_limits();

  // Read without the mutex.
  match::UserTable users_;
  std::atomic<bool> enabled_{true};
  std::atomic<double> tau_min_{0};
  std::atomic<double> start_{0};  // what new users start from
  std::atomic<bool> learned_start_{false};
  std::atomic<uint64_t> updates_{0};
  std::atomic<uint64_t> aggregations_{0};

  mutable std::mutex mutex_;  // writers
  TauOptions options_;
  double global_ = 0;  // meaningful once aggregations_ > 0
  std::deque<TauRound> rounds_;
};

std::string TauManager::Impl::key_of(std::string_view user) {
  if (user.size() <= kNameBytesMax) return std::string(user);
  static constexpr base::SecretKey kPublicKey{};
  return "#" + base::keyed_hash(kPublicKey, "tau name", {user}).hex();
}

TauView TauManager::Impl::tau(std::string_view user) const {
  if (!enabled_.load(std::memory_order_acquire)) return {tau_min_.load(std::memory_order_relaxed), "off"};
  const base::EpochGuard guard;
  const UserTau* found = user.size() <= kNameBytesMax ? users_.find(user) : users_.find(key_of(user));
  if (found != nullptr) return {found->tau.load(std::memory_order_relaxed), "user"};
  return {start_.load(std::memory_order_relaxed),
          learned_start_.load(std::memory_order_relaxed) ? "global" : "initial"};
}

double TauManager::Impl::update(std::string_view user, TauOutcome outcome) {
  const std::string key = key_of(user);
  const std::lock_guard lock(mutex_);
  if (!options_.enabled) return options_.tau_min;
  UserTau* known = users_.find_to_write(key);
  if (known == nullptr)
    known = users_.insert(key, start_.load(std::memory_order_relaxed));
  else
    users_.touch(known);
  const double tau = std::clamp(known->tau.load(std::memory_order_relaxed) + step_of(outcome, options_),
                                options_.tau_min, options_.tau_max);
  known->tau.store(tau, std::memory_order_relaxed);
  ++known->samples;
  const uint64_t number = updates_.fetch_add(1, std::memory_order_relaxed) + 1;
  known->last_update = number;
  if (number % options_.aggregation_frequency == 0) aggregate();
  return tau;
}

bool TauManager::Impl::forget(std::string_view user) {
  const std::lock_guard lock(mutex_);
  return users_.erase(key_of(user));
}

/// Draws num_users of the recently active ones and moves the global tau towards what they say, by at
/// most one learning rate: a round changes a new user's start no more than one label changes a user.
void TauManager::Impl::aggregate() {
  const uint64_t now = updates_.load(std::memory_order_relaxed);
  const uint64_t span = kActiveWindows * options_.aggregation_frequency;
  const uint64_t round = aggregations_.load(std::memory_order_relaxed);
  std::vector<std::pair<uint64_t, match::TauReport>> drawn;
  for (const UserTau* user = users_.newest(); user != nullptr && now - user->last_update < span;
       user = user->older)
    drawn.push_back(
        {match::draw_rank(user->name, round), {user->tau.load(std::memory_order_relaxed), user->samples}});
  if (drawn.empty()) return;  // the only active users were just forgotten
  const size_t count = std::min(drawn.size(), options_.num_users);
  std::partial_sort(drawn.begin(), drawn.begin() + static_cast<std::ptrdiff_t>(count), drawn.end(),
                    [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<match::TauReport> reports;
  for (size_t i = 0; i < count; ++i) reports.push_back(drawn[i].second);
  const double from = start_.load(std::memory_order_relaxed);
  const double combined = match::combine_taus(std::move(reports));
  global_ = match::step_towards(from, combined, options_.learning_rate);
  const uint64_t number = aggregations_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (rounds_.size() == kTauRoundsKept) rounds_.pop_front();
  rounds_.push_back({number, base::system_clock().wall_ms(), count, from, combined, global_});
  publish_start();
}

void TauManager::Impl::publish_start() {
  const bool learned = aggregations_.load(std::memory_order_relaxed) > 0;
  const double start =
      learned ? std::clamp(global_, options_.tau_min, options_.tau_max) : options_.initial_tau;
  start_.store(start, std::memory_order_relaxed);
  learned_start_.store(learned, std::memory_order_relaxed);
}

void TauManager::Impl::apply_limits() {
  for (UserTau* user = users_.newest(); user != nullptr; user = user->older)
    user->tau.store(std::clamp(user->tau.load(std::memory_order_relaxed), options_.tau_min, options_.tau_max),
                    std::memory_order_relaxed);
  publish_start();
}

void TauManager::Impl::set_options(const TauOptions& options) {
  const std::lock_guard lock(mutex_);
  options_ = sane(options);
  apply_limits();
  tau_min_.store(options_.tau_min, std::memory_order_relaxed);
  enabled_.store(options_.enabled, std::memory_order_release);
}

TauSummary TauManager::Impl::summary() const {
  TauSummary summary;
  const std::lock_guard lock(mutex_);
  for (const UserTau* user = users_.newest(); user != nullptr; user = user->older) {
    const double tau = user->tau.load(std::memory_order_relaxed);
    ++(tau < options_.initial_tau   ? summary.below
       : tau > options_.initial_tau ? summary.above
                                    : summary.initial);
    if (tau < options_.initial_tau) summary.mean_below += tau;
    if (tau > options_.initial_tau) summary.mean_above += tau;
  }
  summary.mean_below /= static_cast<double>(std::max<uint64_t>(1, summary.below));
  summary.mean_above /= static_cast<double>(std::max<uint64_t>(1, summary.above));
  return summary;
}

TauListing TauManager::Impl::listing(size_t users_max) const {
  TauListing listing;
  const std::lock_guard lock(mutex_);
  listing.options = options_;
  listing.global = global_tau();
  listing.is_learned = learned_start_.load(std::memory_order_relaxed);
  listing.updates = updates();
  listing.aggregations = aggregations();
  listing.users = users();
  for (const UserTau* user = users_.newest(); user != nullptr && listing.newest.size() < users_max;
       user = user->older)
    listing.newest.push_back(
        {user->name, user->tau.load(std::memory_order_relaxed), user->samples, user->last_update});
  listing.rounds.assign(rounds_.begin(), rounds_.end());
  return listing;
}

std::string TauManager::Impl::serialise() const {
  const std::lock_guard lock(mutex_);
  match::StateWriter writer(kMagic, kVersion);
  writer.put(updates_.load(std::memory_order_relaxed));
  writer.put(aggregations_.load(std::memory_order_relaxed));
  writer.put(global_);
  writer.put(static_cast<uint64_t>(users_.size()));
  // Oldest first: restoring in this order restores the recency.
  for (const UserTau* user = users_.oldest(); user != nullptr; user = user->newer) {
    writer.put_string(user->name);
    writer.put(user->tau.load(std::memory_order_relaxed));
    writer.put(user->samples);
    writer.put(user->last_update);
  }
  return std::move(writer).finish();
}

Result<void> TauManager::Impl::restore(std::string_view bytes) {
  EGPTC_TRY(match::StateReader reader, match::StateReader::open(bytes, kMagic, kVersion));
  uint64_t updates = 0;
  uint64_t aggregations = 0;
  uint64_t count = 0;
  double global = 0;
  const bool header_read =
      reader.get(updates) && reader.get(aggregations) && reader.get(global) && reader.get(count);
  if (!header_read || !std::isfinite(global) || count > kUsersMax)
    return fail(ErrorCode::kCorrupt, "the taus' header is damaged");
  std::vector<Saved> saved;
  for (uint64_t i = 0; i < count; ++i) {
    Saved user;
    const bool read = reader.get_string(user.name) && reader.get(user.tau) && reader.get(user.samples) &&
                      reader.get(user.last_update);
    if (!read || !std::isfinite(user.tau) || user.last_update > updates || user.name.size() > kNameBytesMax)
      return fail(ErrorCode::kCorrupt, "tau number " + std::to_string(i) + " is damaged");
    saved.push_back(std::move(user));
  }
  if (reader.left() != 0) return fail(ErrorCode::kCorrupt, "bytes follow the last tau");

  const std::lock_guard lock(mutex_);
  users_.clear();
  for (const Saved& user : saved) {
    if (users_.find(user.name) != nullptr) continue;
    UserTau* added = users_.insert(user.name, std::clamp(user.tau, options_.tau_min, options_.tau_max));
    added->samples = user.samples;
    added->last_update = user.last_update;
  }
  updates_.store(updates, std::memory_order_relaxed);
  aggregations_.store(aggregations, std::memory_order_relaxed);
  global_ = global;
  publish_start();
  return {};
}

TauManager::TauManager(const TauOptions& options) : impl_(std::make_unique<Impl>(options)) {}
TauManager::~TauManager() = default;
TauView TauManager::tau(std::string_view user) const { return impl_->tau(user); }
double TauManager::update(std::string_view user, TauOutcome outcome) { return impl_->update(user, outcome); }
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
    impl_->update(kDefaultUser, was_correct ? TauOutcome::kConfirmedHit : TauOutcome::kFalseHit);
  else if (!was_correct)
    impl_->update(kDefaultUser, TauOutcome::kLostHit);
}
double TauManager::current_threshold() const { return impl_->tau(kDefaultUser).tau; }

}  // namespace enhanced_gptcache
