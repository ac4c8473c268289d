#pragma once
// Making a connection to an upstream: name resolution, TCP, the proxy's CONNECT, TLS. Internal to src/http.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "http/upstream_stream.h"
#include "http/url.h"

namespace enhanced_gptcache::http {

/// Where to connect, and how. Immutable.
struct ConnectPlan {
  Url url;
  std::optional<Url> proxy;
  std::shared_ptr<asio::ssl::context> tls;
  int64_t timeout_ms = 30'000;  ///< for all steps together
};

/// kUnavailable: no connection; kDeadline: not in time. Messages name host, port and step. Both mean that no
/// byte of a request was sent. kUnavailable "cancelled" when the caller's coroutine was cancelled.
asio::awaitable<Result<std::shared_ptr<UpstreamStream>>> connect_upstream(ConnectPlan plan);

}  // namespace enhanced_gptcache::http
