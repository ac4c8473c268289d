#pragma once
// Token buckets and counts of running requests, by name, in a table that cannot grow: who has been idle
// longest is forgotten, which costs it nothing, because an idle bucket is a full one.

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace enhanced_gptcache::security {

/// What one name may do. 0: no limit.
struct LimitRule {
  double per_second = 0;   ///< what flows into the bucket
  double burst = 1;        ///< what it holds, at least 1
  int64_t concurrent = 0;  ///< requests at once
  bool is_off() const { return per_second <= 0 && concurrent <= 0; }
};

/// How asking went.
struct LimitVerdict {
  bool admitted = true;
  double limit = 0;           ///< of the rule that refused
  int64_t retry_after_s = 0;  ///< whole seconds, at least 1
  bool by_concurrency = false;
};

/// Thread rule: any thread. Leases must not outlive the table.
class LimitTable {
 public:
  explicit LimitTable(size_t names_max);

  /// Takes `cost` tokens and one place, or nothing at all. With a limit on concurrency an admitted caller
  /// must give the place back with release().
  LimitVerdict take(std::string_view name, double cost, const LimitRule& rule, int64_t now_us);
  void release(std::string_view name);
  /// Would take(name, cost) be admitted by its bucket? Takes nothing.
  bool has(std::string_view name, double cost, const LimitRule& rule, int64_t now_us);

  size_t size() const;
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  struct Bucket {
    std::string name;
    double tokens = 0;
    int64_t filled_us = 0;
    int64_t running = 0;
  };
  using Order = std::list<Bucket>;  // most recently used first
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    Order order;                                                   // guarded by mutex
    std::unordered_map<std::string_view, Order::iterator> places;  // views into `order`
  };
  static constexpr size_t kShards = 16;

  Shard& shard_of(std::string_view name) { return shards_[std::hash<std::string_view>()(name) % kShards]; }
  static void fill(Bucket& bucket, const LimitRule& rule, int64_t now_us);
  Bucket* find_or_make(Shard& shard, std::string_view name, const LimitRule& rule, int64_t now_us);

  const size_t names_per_shard_;
  std::atomic<uint64_t> refused_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace enhanced_gptcache::security
