#pragma once
// The upstreams of one set of options: which requests go where, and what each has been through.
// Internal to src/http.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http/breaker.h"
#include "http/upstream.h"
#include "http/upstream_connect.h"

namespace enhanced_gptcache::http {

/// Counters and breaker of an upstream; survives a change of options. Any thread.
struct TargetState {
  explicit TargetState(std::string of) : name(std::move(of)) {}
  const std::string name;  ///< read by others while options change
  Breaker breaker;
  std::atomic<uint64_t> requests{0}, errors{0}, retries{0}, timeouts{0}, opened{0}, reused{0};
};

/// Connections that may stand in for each other: same address, same proxy, same trusted authorities.
struct PoolGroup {
  std::atomic<size_t> idle{0};        ///< over all threads
  std::atomic<bool> obsolete{false};  ///< no options name it any more
};

/// One place to send a request. Immutable.
struct Target {
  UpstreamTarget settings;
  ConnectPlan plan;
  std::shared_ptr<TargetState> state;
  std::shared_ptr<PoolGroup> group;
  bool passes_caller_credential = false;
  bool is_default = false;  ///< upstream.base_url: gets what callers send, unlike a route of another vendor
};

/// Options with everything derived from them. Immutable; a request takes one and keeps it.
class UpstreamSnapshot {
 public:
  /// State and pools of `previous` (may be null) go on where name and address are the same.
  static Result<std::shared_ptr<const UpstreamSnapshot>> create(const UpstreamOptions& options,
                                                                const UpstreamSnapshot* previous);
  const UpstreamOptions& options() const { return options_; }
  /// In the order in which they are to be tried; never empty.
  const std::vector<Target>& targets_for(std::string_view model) const;
  /// One of each, by name and address.
  const std::map<std::string, std::shared_ptr<TargetState>>& states() const { return states_; }
  /// Marks the pools that `next` does not use.
  void retire(const UpstreamSnapshot& next) const;

 private:
  struct Route {
    std::string model_pattern;
    std::vector<Target> targets;
  };
  Result<Target> make_target(const UpstreamTarget& settings, const std::string& field,
                             const UpstreamSnapshot* previous);

  UpstreamOptions options_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::optional<Url> proxy_;
  std::vector<Target> default_;
  std::vector<Route> routes_;
  std::map<std::string, std::shared_ptr<TargetState>> states_;
  std::map<std::string, std::shared_ptr<PoolGroup>> groups_;
};

}  // namespace enhanced_gptcache::http
