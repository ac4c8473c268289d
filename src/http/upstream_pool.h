#pragma once
// Idle connections to upstreams, one pool per io_context, so that taking one needs no lock. Internal to
// src/http.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <memory>
#include <unordered_map>
#include <vector>

#include "http/upstream_stream.h"
#include "http/upstream_target.h"

namespace enhanced_gptcache::http {

/// A service of the io_context, so that its sockets are closed before the context goes.
/// Thread rule: confined to the context's thread.
class UpstreamPool final : public asio::execution_context::service {
 public:
  using key_type = UpstreamPool;
  static asio::execution_context::id id;
  explicit UpstreamPool(asio::execution_context& context) : service(context) {}

  static UpstreamPool& of(const asio::any_io_executor& executor);
  /// The one used last that is still open, or null; closes what is over `idle_max`.
  std::shared_ptr<UpstreamStream> take(const std::shared_ptr<PoolGroup>& group, size_t idle_max);
  /// Keeps it, unless the group has `idle_max` on all threads together.
  void put(const std::shared_ptr<PoolGroup>& group, std::shared_ptr<UpstreamStream> stream, size_t idle_max);

 private:
  struct Idle {
    std::shared_ptr<UpstreamStream> stream;
    int64_t since_us = 0;
  };
  void shutdown() noexcept override;
  void prune(int64_t now);

  std::unordered_map<std::shared_ptr<PoolGroup>, std::vector<Idle>> idle_;
};

}  // namespace enhanced_gptcache::http
