#pragma once
// What the connections of one server thread share: the io_context, the clock and the counters; and
// what all threads share: options, routes and hooks. Internal to src/http.

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "http/response_head.h"
#include "http/router.h"
#include "http/server.h"
#include "http/server_tls.h"

namespace enhanced_gptcache::http {

class Connection;

using ErrorHook = std::function<Response(int status, const std::string& message, std::string_view path)>;

/// Immutable once the server runs, but for the router, which is not looked at before is_open.
struct ServerRules {
  ServerOptions options;
  std::unique_ptr<TlsContext> tls;  ///< null: plain HTTP
  std::string hsts_line;            ///< whole header line, or empty
  Router router;
  std::atomic<bool> is_open{false};
  std::function<bool(const ExchangePtr&)> request;
  AccessHook access;
  ErrorHook error;
  Response make_error(int status, const std::string& message, std::string_view path) const;
};

/// Any thread; relaxed, because they are only ever summed for a report.
struct ThreadCounters {
  std::atomic<uint64_t> connections{0}, connections_total{0}, requests{0}, bad_requests{0}, timeouts{0},
      in_flight{0};
};

/// An event loop whose pending work can be destroyed before it is, so that an executor of it stays safe to
/// post to for as long as somebody holds the thread.
class EventLoop : public asio::io_context {
 public:
  EventLoop() : asio::io_context(1) {}
  /// After run() has ended for good: destroys every queued handler and suspended coroutine.
  void drop_pending() { shutdown(); }
};

/// One server thread. Outlives its connections; connections and exchanges hold it by shared_ptr, and
/// shut_down() breaks the circle by destroying what the event loop still holds. The loop itself lives as
/// long as this object, so whoever holds an Exchange may use its executor.
class ServerThread : public std::enable_shared_from_this<ServerThread> {
 public:
  explicit ServerThread(std::shared_ptr<const ServerRules> rules);

  const ServerRules& rules() const { return *rules_; }
  asio::io_context& context() { return loop_; }
  /// Any thread, also after shut_down(), when it does nothing.
  void post(std::function<void()> work);
  /// Runs the thread's work until stopped.
  void run();
  /// Any thread.
  bool on_thread() const { return thread_id_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

  // Own thread only from here on.
  void add(std::shared_ptr<Connection> connection);
  void remove(Connection& connection);
  void start_sweeping();
  std::string_view date_line();
  void begin_drain();
  bool draining() const { return draining_; }
  void close_all();
  /// After the thread was joined: destroys all that is pending. Handlers that still hold an Exchange may drop
  /// it later.
  void shut_down();
  bool is_shut_down() const { return shut_down_.load(std::memory_order_acquire); }

  ThreadCounters counters;

 private:
  void sweep();

  const std::shared_ptr<const ServerRules> rules_;
  EventLoop loop_;
  std::mutex post_mutex_;  // nothing is queued once shut_down() has begun to destroy what is
  std::atomic<bool> shut_down_{false};
  std::atomic<std::thread::id> thread_id_{};
  std::unique_ptr<asio::steady_timer> sweep_timer_;
  int64_t sweep_interval_ms_ = 1000;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  DateLine date_line_;
  bool draining_ = false;
};

/// Monotonic, for deadlines and durations.
int64_t now_us();

}  // namespace enhanced_gptcache::http
