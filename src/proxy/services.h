#pragma once
// What every part of the proxy works with, in one place. Internal to src/proxy.

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/keyed_hash.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "http/upstream.h"
#include "proxy/miss_times.h"
#include "proxy/observer.h"
#include "proxy/options.h"
#include "proxy/trace.h"
#include "security/cache_watch.h"
#include "security/identity.h"

namespace enhanced_gptcache::proxy {

class FlightTable;

/// The options in force. Any thread; readers wait for nobody.
class OptionsCell {
 public:
  explicit OptionsCell(ProxyOptions options) : holder_(hold(std::move(options))) {}
  ~OptionsCell() { delete holder_.load(std::memory_order_acquire); }
  OptionsCell(const OptionsCell&) = delete;
  OptionsCell& operator=(const OptionsCell&) = delete;

  void set(ProxyOptions options) {
    const auto* old = holder_.exchange(hold(std::move(options)), std::memory_order_acq_rel);
    base::epoch_retire(const_cast<Held*>(old));
  }
  std::shared_ptr<const ProxyOptions> get() const {
    const base::EpochGuard pin;
    return *holder_.load(std::memory_order_acquire);
  }

 private:
  using Held = std::shared_ptr<const ProxyOptions>;
  static const Held* hold(ProxyOptions options) {
    return new Held(std::make_shared<const ProxyOptions>(std::move(options)));
  }
  std::atomic<const Held*> holder_;
};

/// Models whose provider refuses stream_options, learned from its 400s. Any thread.
class UsageRefusals {
 public:
  bool contains(const std::string& model) const {
    const std::lock_guard lock(mutex_);
    return names_.contains(model);
  }
  void add(const std::string& model) {
    const std::lock_guard lock(mutex_);
    if (names_.size() < kNamesMax) names_.insert(model);
  }

 private:
  static constexpr size_t kNamesMax = 1000;
  mutable std::mutex mutex_;
  std::set<std::string> names_;
};

/// Lives as long as any request that uses it.
struct Services {
  EnhancedCache& cache;
  std::shared_ptr<http::UpstreamClient> upstream;
  std::shared_ptr<const Embedder> embedder;  ///< null: no local embeddings
  base::SecretKey instance_key;
  ProxyObserver& observer;
  const base::Clock& clock;
  OptionsCell options;
  std::shared_ptr<FlightTable> flights;
  UsageRefusals usage_refusals;
  security::CacheWatch* watch = nullptr;
  std::atomic<size_t> shadow_checks{0};  ///< under way (shadow_check.h)
  /// Of JSON answers and of streams; filled while there are padded namespaces.
  std::array<MissTimes, 2> miss_times;
  std::shared_ptr<TraceSink> trace_sink;  ///< null: nothing is traced
  std::function<bool(const security::Identity&)> is_only_tenant;  ///< ProxyParts
};
using ServicesPtr = std::shared_ptr<Services>;

/// The one place where a failure of the cache is turned into going on without it: counted, logged,
/// and the request goes to the provider.
void fail_open(Services& services, Stage stage, const Error& error);

}  // namespace enhanced_gptcache::proxy
