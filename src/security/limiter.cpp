#include "security/limiter.h"

namespace enhanced_gptcache::security {
namespace {

constexpr size_t kNamesMax = 65'536;

/// Near misses as tokens: a minute's worth fits in the bucket, and flows back in a minute.
LimitRule probe_rule(const LimitRules& rules) {
  return {rules.probes_per_minute / 60, rules.probes_per_minute, 0};
}

}  // namespace

/// Gives back the places of one request, also when the limits were changed or the limiter's owner has gone.
class Limiter::Lease {
 public:
  Lease(std::shared_ptr<Limiter> limiter, std::string_view key, std::string_view user,
        std::string_view address)
      : limiter_(std::move(limiter)), key_(key), user_(user), address_(address) {}
  ~Lease() {
    if (!key_.empty()) limiter_->keys_.release(key_);
    if (!user_.empty()) limiter_->users_.release(user_);
    if (!address_.empty()) limiter_->addresses_.release(address_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  const std::shared_ptr<Limiter> limiter_;
  const std::string key_, user_, address_;  // empty: no place was taken
};

Limiter::Limiter(const LimitRules& rules, const base::Clock& clock)
    : clock_(clock),
      rules_(rules),
      keys_(kNamesMax),
      users_(kNamesMax),
      addresses_(kNamesMax),
      inserts_(kNamesMax),
      probes_(kNamesMax) {}

void Limiter::set_rules(const LimitRules& rules) { rules_.set(rules); }

std::optional<LimitRefusal> Limiter::admit(std::string_view key, std::string_view user,
                                           std::string_view address, std::shared_ptr<const void>& lease) {
  const base::EpochGuard pin;
  const LimitRules& rules = rules_.peek(pin);
  const int64_t now_us = clock_.mono_us();
  struct Ask {
    LimitTable& table;
    std::string_view name;
    const LimitRule& rule;
    std::string_view what;
  };
  const Ask asks[] = {{addresses_, address, rules.address, "address"},
                      {keys_, key, rules.key, "key"},
                      {users_, user, rules.user, "user"}};
  for (size_t i = 0; i < std::size(asks); ++i) {
    const Ask& ask = asks[i];
    if (ask.name.empty() || ask.rule.is_off()) continue;
    const LimitVerdict verdict = ask.table.take(ask.name, 1, ask.rule, now_us);
    if (verdict.admitted) continue;
    for (size_t taken = 0; taken < i; ++taken)
      if (!asks[taken].name.empty() && asks[taken].rule.concurrent > 0)
        asks[taken].table.release(asks[taken].name);
    return LimitRefusal{verdict, ask.what};
  }
  const auto place = [](std::string_view name, const LimitRule& rule) {
    return rule.concurrent > 0 ? name : std::string_view();
  };
  if (rules.key.concurrent > 0 || rules.user.concurrent > 0 || rules.address.concurrent > 0)
    lease = std::make_shared<const Lease>(shared_from_this(), place(key, rules.key), place(user, rules.user),
                                          place(address, rules.address));
  return std::nullopt;
}

bool Limiter::may_insert(const Identity& who, size_t entries) {
  if (who.trusted) return true;
  const base::EpochGuard pin;
  return inserts_.take(who.id, static_cast<double>(entries), rules_.peek(pin).inserts, clock_.mono_us())
      .admitted;
}

void Limiter::saw_lookup(const Identity& who, bool hit, double nearest_similarity) {
  const base::EpochGuard pin;
  const LimitRules& rules = rules_.peek(pin);
  if (who.trusted || hit || rules.probes_per_minute <= 0 || nearest_similarity < rules.probe_similarity)
    return;
  near_misses_.fetch_add(1, std::memory_order_relaxed);
  if (!probes_.take(who.id, 1, probe_rule(rules), clock_.mono_us()).admitted)
    suspects_.fetch_add(1, std::memory_order_relaxed);
}

bool Limiter::may_match(const Identity& who) {
  const base::EpochGuard pin;
  const LimitRules& rules = rules_.peek(pin);
  if (!rules.refuse_probes || who.trusted || rules.probes_per_minute <= 0) return true;
  // Asking for nothing: is there a whole token left?
  if (probes_.has(who.id, 1, probe_rule(rules), clock_.mono_us())) return true;
  suspects_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

Limiter::Stats Limiter::stats() const {
  Stats stats;
  stats.refused_key = keys_.refused();
  stats.refused_user = users_.refused();
  stats.refused_address = addresses_.refused();
  stats.refused_inserts = inserts_.refused();
  stats.near_misses = near_misses_.load(std::memory_order_relaxed);
  stats.suspects = suspects_.load(std::memory_order_relaxed);
  stats.names = keys_.size() + users_.size() + addresses_.size() + inserts_.size() + probes_.size();
  return stats;
}

}  // namespace enhanced_gptcache::security
