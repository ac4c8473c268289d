#pragma once
// How much one key, one user and one address may ask, store and probe.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/cell.h"
#include "base/clock.h"
#include "security/cache_watch.h"
#include "security/identity.h"
#include "security/limit_table.h"

namespace enhanced_gptcache::security {

struct LimitRules {
  LimitRule key, user, address;
  LimitRule inserts;              ///< entries per key
  double probes_per_minute = 0;   ///< near misses of one key from which on it is a suspect; 0: nobody is
  double probe_similarity = 0.8;  ///< a miss this near to an entry is a near miss
  bool refuse_probes = false;     ///< a suspect gets no semantic answers until it has been quiet for a minute
};

/// Why a request was not admitted.
struct LimitRefusal {
  LimitVerdict verdict;
  std::string_view what;  ///< "key", "user" or "address"
};

/// Thread rule: any thread. Leases hold what they need.
class Limiter final : public CacheWatch, public std::enable_shared_from_this<Limiter> {
 public:
  explicit Limiter(const LimitRules& rules, const base::Clock& clock = base::system_clock());

  void set_rules(const LimitRules& rules);
  /// Takes from all three buckets; empty names are not asked for. `lease` is to be kept for as long as the
  /// request runs. None: admitted.
  std::optional<LimitRefusal> admit(std::string_view key, std::string_view user, std::string_view address,
                                    std::shared_ptr<const void>& lease);

  // CacheWatch
  bool may_insert(const Identity& who, size_t entries) override;
  void saw_lookup(const Identity& who, bool hit, double nearest_similarity) override;
  bool may_match(const Identity& who) override;

  struct Stats {
    uint64_t refused_key = 0, refused_user = 0, refused_address = 0, refused_inserts = 0, suspects = 0,
             near_misses = 0;
    size_t names = 0;
  };
  Stats stats() const;

 private:
  class Lease;
  const base::Clock& clock_;
  base::Cell<LimitRules> rules_;
  LimitTable keys_, users_, addresses_, inserts_, probes_;
  std::atomic<uint64_t> near_misses_{0}, suspects_{0};
};

}  // namespace enhanced_gptcache::security
