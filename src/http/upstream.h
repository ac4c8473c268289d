#pragma once
// The client side: HTTPS to model providers, with pooling, timeouts, routes by model, fallbacks,
// retries before the first byte only, and a circuit breaker per upstream.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"

namespace enhanced_gptcache::http {

/// One provider.
struct UpstreamTarget {
  std::string name;      ///< for metrics and logs: "default" or the route's pattern
  std::string base_url;  ///< http(s)://host[:port][/path], without a trailing slash
  std::string api_key;   ///< sent as Authorization: Bearer instead of the caller's; empty: the caller's goes
                         ///< through (default upstream only)
};
/// Models that match `model_pattern` (shell wildcards * and ?) go to `target`, then to `fallbacks` in order.
struct UpstreamRoute {
  std::string model_pattern;
  UpstreamTarget target;
  std::vector<UpstreamTarget> fallbacks;
};
struct UpstreamOptions {
  UpstreamTarget default_target;
  std::vector<UpstreamRoute> routes;
  int64_t connect_timeout_ms = 30'000;
  int64_t first_byte_timeout_ms = 600'000;
  int64_t idle_timeout_ms = 60'000;  ///< between two pieces of an answer
  size_t idle_connections_max = 20;  ///< kept alive per upstream (over all threads)
  int retries_max =
      2;  ///< connection failures, 429/503 with a short Retry-After, 502/504; never after the first byte
  int64_t retry_base_ms = 100;  ///< exponential with full jitter
  size_t header_bytes_max = 64 << 10;
  size_t breaker_failures = 5;       ///< consecutive failures that open it
  int64_t breaker_open_ms = 10'000;  ///< then one probe
  std::string https_proxy;           ///< from HTTPS_PROXY; CONNECT, with optional user:password@
  std::string no_proxy;
  std::string ca_file;  ///< PEM added to the system's; empty: the system's only
};

struct UpstreamRequest {
  std::string method = "POST";
  std::string path;        ///< below base_url, e.g. "/chat/completions?x=y"
  bool from_root = false;  ///< `path` counts from the host's root, not from base_url's path
  std::string model;       ///< picks the route; empty: default
  Headers headers;         ///< end-to-end ones; Host, Content-Length, Connection and hop-by-hop ones are ours
  std::string body;
  bool retry_allowed = true;
  /// When set, the body is pulled from here (chunked) instead of `body`; then nothing is retried.
  std::function<asio::awaitable<Result<std::string>>()> body_source;
  std::optional<uint64_t> body_length;  ///< with body_source: known length, sent as Content-Length
};

/// An answer being read. Destroying it before the end closes the connection (which cancels the call).
/// Thread rule: confined to the executor it was made on.
class UpstreamResponse {
 public:
  virtual ~UpstreamResponse() = default;
  virtual int status() const = 0;
  virtual const Headers& headers() const = 0;  ///< end-to-end, as received (Content-Encoding included)
  virtual const std::string& upstream_name() const = 0;
  /// The next piece as received; empty: properly complete. kUpstream: cut off or malformed; kDeadline: idle
  /// too long.
  virtual asio::awaitable<Result<std::string>> read() = 0;
  /// The same with Content-Encoding (gzip, deflate, br, zstd) undone, bounded in expansion; use either, not
  /// both.
  virtual asio::awaitable<Result<std::string>> read_decoded() = 0;
  /// 101 Switching Protocols: raw both ways.
  virtual asio::awaitable<Result<std::string>> read_raw() = 0;
  virtual asio::awaitable<bool> write_raw(std::string bytes) = 0;
  /// Any thread. Makes a pending read fail with kUnavailable "cancelled" and closes the connection.
  virtual void cancel() = 0;
};

struct UpstreamStats {
  uint64_t requests = 0, errors = 0, retries = 0, timeouts = 0, connections_opened = 0,
           connections_reused = 0;
  int breaker_state = 0;  ///< 0 closed, 1 half-open, 2 open
};

/// Thread rule: send() from a thread of one of the executors given at construction; the rest from any thread.
class UpstreamClient {
 public:
  /// Validates URLs and loads certificates. kInvalidArgument names the field.
  static Result<std::shared_ptr<UpstreamClient>> create(UpstreamOptions options);
  virtual ~UpstreamClient() = default;

  /// Connects (or reuses), sends, waits for the head. A status of 4xx/5xx is a response, not an error.
  /// kUnavailable: no connection to any target (or breaker open); kDeadline: first byte too late; kUpstream:
  /// broken answer.
  virtual asio::awaitable<Result<std::unique_ptr<UpstreamResponse>>> send(UpstreamRequest request) = 0;
  /// New options for requests that start later (hot reload).
  virtual Result<void> set_options(UpstreamOptions options) = 0;
  /// True when `model` goes to the default upstream with the caller's own credential.
  virtual bool passes_caller_credential(std::string_view model) const = 0;
  virtual std::map<std::string, UpstreamStats> stats() const = 0;
};

}  // namespace enhanced_gptcache::http
