#pragma once
// The cached proxy under /v1: reads a request in its dialect, answers from the cache when it may, and
// otherwise forwards, streams through and learns. See docs/architecture.md for one request's path and
// docs/exact-key.md for what makes two requests the same.

#include <functional>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/keyed_hash.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "http/server.h"
#include "http/upstream.h"
#include "proxy/errors.h"
#include "proxy/observer.h"
#include "proxy/options.h"
#include "proxy/trace.h"
#include "security/cache_watch.h"
#include "security/identity.h"

namespace enhanced_gptcache::proxy {

struct Services;

/// What the proxy works with. `cache`, `observer` and `clock` outlive the server's threads.
struct ProxyParts {
  EnhancedCache* cache = nullptr;
  std::shared_ptr<http::UpstreamClient> upstream;
  std::shared_ptr<const Embedder> embedder;  ///< null: /v1/embeddings of the local model is forwarded, too
  base::SecretKey instance_key{};            ///< names tenants
  ProxyObserver* observer = nullptr;         ///< null: nobody listens
  const base::Clock* clock = nullptr;        ///< null: the system's
  security::CacheWatch* watch = nullptr;     ///< null: nobody is limited; outlives the server's threads
  std::shared_ptr<TraceSink> trace_sink = {};  ///< null: nothing is traced
  /// Is nobody of another tenant than this caller's served here, or ever was? Any thread. Null: there may be.
  std::function<bool(const security::Identity&)> is_only_tenant = {};
};

/// Thread rule: any thread. Requests in the air keep what they need alive beyond the Proxy itself.
class Proxy {
 public:
  Proxy(ProxyOptions options, ProxyParts parts);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// /v1/* and /openai/deployments/*.
  void register_routes(http::Server& server);
  /// For requests that start later.
  void set_options(ProxyOptions options);
  /// Upstream calls in the air that others may join.
  size_t flights() const;

  // The handlers behind the routes, for tests and for other servers.
  void handle_chat(http::ExchangePtr exchange);
  void handle_completions(http::ExchangePtr exchange);
  void handle_embeddings(http::ExchangePtr exchange);
  void handle_models(http::ExchangePtr exchange);
  /// Uncached, but the body is read for its model: /v1/responses, /v1/messages.
  void handle_uncached(http::ExchangePtr exchange);
  /// Everything else: untouched and unbuffered.
  void handle_pass_through(http::ExchangePtr exchange);

 private:
  explicit Proxy(std::shared_ptr<Services> services) : services_(std::move(services)) {}

  std::shared_ptr<Services> services_;
};

}  // namespace enhanced_gptcache::proxy
