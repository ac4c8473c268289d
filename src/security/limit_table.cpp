#include "security/limit_table.h"

#include <algorithm>
#include <cmath>

namespace enhanced_gptcache::security {
namespace {

/// How far from the idle end a bucket without running requests is looked for.
constexpr size_t kLooksMax = 16;

double capacity_of(const LimitRule& rule) { return std::max(1.0, rule.burst); }

}  // namespace

LimitTable::LimitTable(size_t names_max) : names_per_shard_(std::max<size_t>(1, names_max / kShards)) {}

LimitTable::Bucket* LimitTable::find_or_make(Shard& shard, std::string_view name, const LimitRule& rule,
                                             int64_t now_us) {
  const auto found = shard.places.find(name);
  if (found != shard.places.end()) {
    shard.order.splice(shard.order.begin(), shard.order, found->second);
    return &shard.order.front();
  }
  if (shard.order.size() >= names_per_shard_) {
    auto victim = std::prev(shard.order.end());
    for (size_t looks = 0; victim->running > 0; ++looks, --victim)
      if (looks == kLooksMax || victim == shard.order.begin()) return nullptr;
    shard.places.erase(victim->name);
    shard.order.erase(victim);
  }
  shard.order.push_front(Bucket{std::string(name), capacity_of(rule), now_us, 0});
  shard.places.emplace(shard.order.front().name, shard.order.begin());
  return &shard.order.front();
}

void LimitTable::fill(Bucket& bucket, const LimitRule& rule, int64_t now_us) {
  if (rule.per_second <= 0) return;
  const double passed_s = static_cast<double>(std::max<int64_t>(0, now_us - bucket.filled_us)) / 1e6;
  bucket.tokens = std::min(capacity_of(rule), bucket.tokens + passed_s * rule.per_second);
  bucket.filled_us = std::max(bucket.filled_us, now_us);
}

bool LimitTable::has(std::string_view name, double cost, const LimitRule& rule, int64_t now_us) {
  if (rule.per_second <= 0) return true;
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.places.find(name);
  if (found == shard.places.end()) return true;
  fill(*found->second, rule, now_us);
  return found->second->tokens >= std::min(cost, capacity_of(rule));
}

LimitVerdict LimitTable::take(std::string_view name, double cost, const LimitRule& rule, int64_t now_us) {
  if (rule.is_off()) return {};
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  LimitVerdict verdict;
  verdict.admitted = false;
  verdict.retry_after_s = 1;
  Bucket* const bucket = find_or_make(shard, name, rule, now_us);
  const bool no_place = bucket == nullptr || (rule.concurrent > 0 && bucket->running >= rule.concurrent);
  const double capacity = capacity_of(rule);
  if (!no_place) fill(*bucket, rule, now_us);
  // What asks for more than the bucket ever holds waits for a full one.
  const double needed = std::min(cost, capacity);
  if (no_place) {
    verdict.by_concurrency = true;
    verdict.limit = static_cast<double>(rule.concurrent);
  } else if (rule.per_second > 0 && bucket->tokens < needed) {
    verdict.limit = capacity;
    verdict.retry_after_s =
        std::max<int64_t>(1, std::llround(std::ceil((needed - bucket->tokens) / rule.per_second)));
  } else {
    if (rule.per_second > 0) bucket->tokens -= cost;
    if (rule.concurrent > 0) ++bucket->running;
    return {};
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  return verdict;
}

void LimitTable::release(std::string_view name) {
  Shard& shard = shard_of(name);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.places.find(name);
  if (found != shard.places.end() && found->second->running > 0) --found->second->running;
}

size_t LimitTable::size() const {
  size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    size += shard.order.size();
  }
  return size;
}

}  // namespace enhanced_gptcache::security
