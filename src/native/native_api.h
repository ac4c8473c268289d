#pragma once
// The cache's own HTTP API (/cache/...): lookup, entries, feedback, explain, invalidate, flush, erase. It
// shares one cache with the proxied traffic: a chat request with one user message is the native
// `query` with an empty `context`. Bodies are strict: an unknown field is an error.

#include <functional>
#include <memory>
#include <string>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "http/server.h"
#include "security/cache_watch.h"
#include "security/identity.h"

namespace enhanced_gptcache::native {

/// Who calls, from the request's credentials and never from its body.
struct Caller {
  std::string tenant;
  std::string user;
  std::string principal;           ///< who wrote an entry (provenance)
  security::IdentityPtr identity;  ///< null while security is off
  std::string subject = {};        ///< whose data its entries are when they name nobody; may be empty
  /// Does what it stores count for all of the tenant?
  bool is_trusted() const { return identity == nullptr || identity->is_trusted_writer(); }
  /// May it see similarities, probabilities and entry ids of what was not its own question?
  bool sees_decisions() const { return identity == nullptr || identity->sees_decisions(); }
};
/// kInvalidArgument: who calls is not known (401); kUnsupported: known, but may not do this (403).
using CallerOf = std::function<Result<Caller>(const http::Exchange&)>;

struct NativeOptions {
  size_t query_bytes_max = size_t{1} << 20U;
  size_t entries_per_request_max = 1000;
  size_t list_limit_max = 1000;
  bool clients_may_store = true;        ///< false: only trusted keys, operators and admins do
  int64_t request_timeout_ms = 30'000;  ///< lookups and stores answer 504 after it
  bool shed_overload = false;           ///< lookups answer 503 when the embedder has no time, else a miss
  base::SecretKey receipt_key{};        ///< the instance key: receipts are signed under it
};

/// What the embedding program wants to count. Called on any thread; must not block.
class NativeObserver {
 public:
  virtual ~NativeObserver() = default;
  virtual void on_lookup(const Lookup& lookup, double latency_ms) = 0;
  virtual void on_error(ErrorCode code) = 0;
  /// One accepted piece of feedback; `action` is FeedbackResult::action.
  virtual void on_feedback(std::string_view action) = 0;
};

/// Runs work that may take long off the connection's thread; false: too much is waiting already.
using Offload = std::function<bool(std::function<void()>)>;

/// Thread rule: any thread. The cache and the observer outlive the server's handlers.
class NativeApi {
 public:
  /// `watch` (may be null) outlives the server's handlers, too. `offload_long` is for what waits for the
  /// whole disk; empty: `offload`.
  NativeApi(NativeOptions options, EnhancedCache& cache, CallerOf caller_of, Offload offload,
            NativeObserver* observer = nullptr, security::CacheWatch* watch = nullptr,
            Offload offload_long = {});
  ~NativeApi();
  void register_routes(http::Server& server);
  /// For requests that start later.
  void set_options(NativeOptions options);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache::native
