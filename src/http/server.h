#pragma once
// The listener: N threads, each with its own io_context and its own connections for life.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/exchange.h"
#include "http/tls_options.h"

namespace enhanced_gptcache::http {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  ///< 0: any free one; Server::port() tells
  /// A socket that listens at host and port already, which the server takes over; -1: it makes one. Callers
  /// wait in its queue until the routes are open.
  int listener = -1;
  size_t threads = 1;
  size_t connections_max = 4096;       ///< above it new connections get 503 and are closed
  size_t header_bytes_max = 32 << 10;  ///< 431 above
  size_t body_bytes_max = 16 << 20;    ///< for buffering routes; 413 above
  int64_t header_timeout_ms = 10'000;  ///< from the first byte of a request to the end of its head
  int64_t body_timeout_ms = 30'000;    ///< between two pieces of a body
  int64_t idle_timeout_ms = 75'000;    ///< between requests
  int64_t write_timeout_ms = 60'000;   ///< a client that does not read
  size_t pipeline_max = 16;
  TlsOptions tls;
  int64_t hsts_seconds = 0;  ///< with TLS: how long browsers are to remember that there is TLS; 0: not said
};

struct RouteOptions {
  bool buffer_body = true;
};

/// A route as it was registered: "/*" at the end of a prefix, "*" for any method.
struct RouteName {
  std::string method, path;
};

struct ServerStats {
  uint64_t connections = 0, connections_total = 0, connections_refused = 0, requests = 0, bad_requests = 0,
           timeouts = 0, in_flight = 0, tls_reloads = 0, tls_failures = 0;
  int64_t tls_expires_at_s = 0;  ///< when the certificate in force ends, since 1970; 0: no TLS
};

/// Called once per finished request on the connection's thread; must not block.
using AccessHook = std::function<void(const Exchange&, int status, size_t bytes_out, int64_t duration_us)>;

/// Thread rule: hooks before start(), routes before open_routes(); everything else from any thread.
class Server {
 public:
  explicit Server(ServerOptions options);
  /// stop(), then destroys what the event loops still hold: queued handlers and suspended coroutines.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Exact path, or a prefix when it ends in "/*". The longest match wins. method "*": any.
  /// A known path with another method gives 405 with Allow.
  void route(std::string method, std::string path, Handler handler, RouteOptions options = {});
  /// Every route registered so far.
  std::vector<RouteName> routes() const;
  /// For everything no route matches; default: 404 JSON.
  void fallback(Handler handler, RouteOptions options = {});
  void on_access(AccessHook hook);
  /// Sees every request that has a route once, before its handler and before a body that is not here yet is
  /// read (the body is there only when it came along with the head); true: it has answered, the handler is
  /// not called. On the connection's thread, must not block.
  void on_request(std::function<bool(const ExchangePtr&)> hook);
  /// Turns a protocol error (bad request, 413, 431, 405, 404...) into a body in the caller's dialect;
  /// the path may be empty when the request line was unreadable.
  void on_error(std::function<Response(int status, const std::string& message, std::string_view path)> hook);

  /// Binds and starts the threads, and opens the routes. kUnavailable: the address is taken, with the reason;
  /// kInvalidArgument: a certificate or key file is none.
  Result<void> start();
  /// The same without routes, while what they need is still being loaded: until open_routes() /live answers
  /// 200 and everything else, /ready too, 503.
  Result<void> start_closed();
  void open_routes();
  uint16_t port() const;
  size_t threads() const;
  /// The io_context executors, one per thread: upstream connections live on them.
  std::vector<asio::any_io_executor> executors() const;
  /// Stops accepting, closes idle connections, waits up to timeout_ms for running requests, then closes the
  /// rest.
  void drain(int64_t timeout_ms);
  /// Ends the event loops and joins their threads. The loops stay: other threads may go on to post to
  /// executors and to answer exchanges, which does nothing any more. Whatever calls back from another
  /// thread is to be stopped between this and the destructor. Does nothing the second time.
  void stop();
  ServerStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache::http
