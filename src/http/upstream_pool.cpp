#include "http/upstream_pool.h"

#include <boost/asio/query.hpp>

#include "http/server_thread.h"

namespace enhanced_gptcache::http {

namespace {
/// Providers and load balancers close idle connections after a minute or more; ours go first.
constexpr int64_t kIdleUs = 30'000'000;
}  // namespace

asio::execution_context::id UpstreamPool::id;

UpstreamPool& UpstreamPool::of(const asio::any_io_executor& executor) {
  return asio::use_service<UpstreamPool>(asio::query(executor, asio::execution::context));
}

std::shared_ptr<UpstreamStream> UpstreamPool::take(const std::shared_ptr<PoolGroup>& group, size_t idle_max) {
  prune(now_us());
  const auto found = idle_.find(group);
  if (found == idle_.end()) return nullptr;
  std::vector<Idle>& list = found->second;
  while (!list.empty()) {
    // A reload may have lowered the limit: what is over it is closed, not used once more.
    const bool surplus = group->idle.fetch_sub(1, std::memory_order_relaxed) > idle_max;
    const auto stream = std::move(list.back().stream);
    list.pop_back();
    if (!surplus && stream->is_quiet()) return stream;
  }
  return nullptr;
}

void UpstreamPool::put(const std::shared_ptr<PoolGroup>& group, std::shared_ptr<UpstreamStream> stream,
                       size_t idle_max) {
  prune(now_us());
  if (group->obsolete.load(std::memory_order_relaxed) || !stream->is_quiet()) return;
  if (group->idle.fetch_add(1, std::memory_order_relaxed) >= idle_max) {
    group->idle.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  stream->rest();
  idle_[group].push_back({std::move(stream), now_us()});
}

void UpstreamPool::shutdown() noexcept {
  for (const auto& [group, list] : idle_) group->idle.fetch_sub(list.size(), std::memory_order_relaxed);
  idle_.clear();
}

void UpstreamPool::prune(int64_t now) {
  for (auto it = idle_.begin(); it != idle_.end();) {
    std::vector<Idle>& list = it->second;
    const bool obsolete = it->first->obsolete.load(std::memory_order_relaxed);
    // The oldest come first: the list is used from its end.
    size_t stale = 0;
    while (stale < list.size() && (obsolete || now - list[stale].since_us > kIdleUs)) ++stale;
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(stale));
    it->first->idle.fetch_sub(stale, std::memory_order_relaxed);
    it = list.empty() && obsolete ? idle_.erase(it) : std::next(it);
  }
}

}  // namespace enhanced_gptcache::http
