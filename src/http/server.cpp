#include "http/server.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "http/connection.h"
#include "http/server_thread.h"

namespace enhanced_gptcache::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

/// Refused connections that may be open at once to read their 503; above it they are just closed.
constexpr uint64_t kRefusedOpenMax = 64;
constexpr int64_t kAcceptWarningUs = 60'000'000;

/// The address itself, or the first one of a name; this blocks, once, before anything runs.
Result<asio::ip::address> resolve_host(const std::string& host) {
  error_code error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (!error) return address;
  asio::io_context context;
  const auto found = tcp::resolver(context).resolve(host, "", error);
  if (error || found.empty()) {
    return fail(ErrorCode::kInvalidArgument, "server.host \"" + host +
                                                 "\" is no IP address and cannot be "
                                                 "resolved: " +
                                                 error.message());
  }
  return found.begin()->endpoint().address();
}

}  // namespace

/// One acceptor on the first thread hands each connection to the thread that has the fewest. With
/// SO_REUSEPORT the kernel would spread them by a hash, and the few long-lived connections of a proxy
/// would pile up on one thread.
class Server::Impl {
 public:
  explicit Impl(ServerOptions options) : rules(std::make_shared<ServerRules>()) {
    rules->options = std::move(options);
    for (size_t i = 0; i < std::max<size_t>(rules->options.threads, 1); ++i) {
      threads.push_back(std::make_shared<ServerThread>(rules));
      guards.emplace_back(threads.back()->context().get_executor());
    }
  }

  Result<void> start();
  void accept_next();
  void warn_of_accept(const error_code& error);
  void on_accept(tcp::socket socket, size_t index);
  size_t least_loaded() const;
  uint64_t open_connections() const;
  Result<void> open_acceptor();
  void begin_accepting();
  void drain(int64_t timeout_ms);
  void stop();
  void destroy_pending();

  std::shared_ptr<ServerRules> rules;
  std::vector<std::shared_ptr<ServerThread>> threads;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards;
  std::vector<std::thread> workers;
  std::unique_ptr<tcp::acceptor> acceptor;
  std::unique_ptr<asio::steady_timer> accept_pause;
  uint16_t port = 0;
  std::atomic<uint64_t> refused{0};
  bool accepting = false;              // first thread only, like the next two
  uint64_t accept_failures = 0;        // since the last warning
  int64_t next_accept_warning_us = 0;  // by now_us()
};

Result<void> Server::Impl::open_acceptor() {
  const ServerOptions& options = rules->options;
  error_code error;
  EGPTC_TRY(const asio::ip::address address, resolve_host(options.host));
  const tcp::endpoint endpoint(address, options.port);
  acceptor = std::make_unique<tcp::acceptor>(threads.front()->context());
  const std::string wanted = options.host + " port " + std::to_string(options.port);
  if (options.listener < 0) {
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(1024, error);
    if (error) return fail(ErrorCode::kUnavailable, "cannot listen on " + wanted + ": " + error.message());
    return {};
  }
  acceptor->assign(endpoint.protocol(), options.listener, error);
  const tcp::endpoint found = error ? tcp::endpoint() : acceptor->local_endpoint(error);
  if (error) return fail(ErrorCode::kUnavailable, "cannot take over the passed socket: " + error.message());
  // What may listen where is decided by the settings (authentication, for one), so they must say the truth.
  if (found.address() != address || (options.port != 0 && found.port() != options.port))
    return fail(ErrorCode::kInvalidArgument, "the passed socket listens on " + found.address().to_string() +
                                                 " port " + std::to_string(found.port()) +
                                                 ", but server.host and server.port say " + wanted);
  return {};
}

Result<void> Server::Impl::start() {
  EGPTC_CHECK(workers.empty());
  const ServerOptions& options = rules->options;
  if (options.tls.is_on()) {
    EGPTC_TRY(rules->tls, TlsContext::open(options.tls));
    if (options.hsts_seconds > 0)
      rules->hsts_line =
          "Strict-Transport-Security: max-age=" + std::to_string(options.hsts_seconds) + "\r\n";
  }
  EGPTC_TRY_VOID(open_acceptor());
  port = acceptor->local_endpoint().port();
  accept_pause = std::make_unique<asio::steady_timer>(threads.front()->context());
  if (options.listener < 0 || rules->is_open.load(std::memory_order_acquire)) begin_accepting();
  for (const auto& thread : threads) {
    thread->start_sweeping();
    workers.emplace_back([thread] { thread->run(); });
  }
  return {};
}

/// On the first thread, or before it runs.
void Server::Impl::begin_accepting() {
  if (accepting) return;
  accepting = true;
  accept_next();
}

void Server::Impl::accept_next() {
  const size_t index = least_loaded();
  acceptor->async_accept(threads[index]->context(),
                         [this, index](const error_code& error, tcp::socket socket) {
                           if (!accepting || error == asio::error::operation_aborted) return;
                           if (!error) {
                             on_accept(std::move(socket), index);
                             accept_next();
                             return;
                           }
                           // Out of file descriptors, usually: the connection stays in the backlog, so trying
                           // at once would spin.
                           warn_of_accept(error);
                           accept_pause->expires_after(std::chrono::milliseconds(50));
                           accept_pause->async_wait([this](const error_code& cancelled) {
                             if (!cancelled && accepting) accept_next();
                           });
                         });
}

/// One warning a minute, however often it fails.
void Server::Impl::warn_of_accept(const error_code& error) {
  ++accept_failures;
  const int64_t now = now_us();
  if (now < next_accept_warning_us) return;
  base::log_warning("cannot accept connections: {} ({} failed since the last warning)", error.message(),
                    accept_failures);
  next_accept_warning_us = now + kAcceptWarningUs;
  accept_failures = 0;
}

void Server::Impl::on_accept(tcp::socket socket, size_t index) {
  if (rules->tls) rules->tls->refresh();
  const uint64_t open = open_connections();
  const bool refuse = open >= rules->options.connections_max;
  if (refuse) refused.fetch_add(1, std::memory_order_relaxed);
  if (refuse && open >= rules->options.connections_max + kRefusedOpenMax) return;
  ServerThread& thread = *threads[index];
  thread.counters.connections.fetch_add(1, std::memory_order_relaxed);
  auto shared = std::make_shared<tcp::socket>(std::move(socket));
  thread.post([owner = threads[index], shared, refuse] {
    auto connection = std::make_shared<Connection>(owner, std::move(*shared));
    owner->add(connection);
    if (refuse) {
      connection->refuse();
    } else {
      connection->start();
    }
  });
}

size_t Server::Impl::least_loaded() const {
  size_t best = 0;
  for (size_t i = 1; i < threads.size(); ++i) {
    const auto load = threads[i]->counters.connections.load(std::memory_order_relaxed);
    if (load < threads[best]->counters.connections.load(std::memory_order_relaxed)) best = i;
  }
  return best;
}

uint64_t Server::Impl::open_connections() const {
  uint64_t open = 0;
  for (const auto& thread : threads) open += thread->counters.connections.load(std::memory_order_relaxed);
  return open;
}

void Server::Impl::drain(int64_t timeout_ms) {
  if (workers.empty()) return;
  threads.front()->post([this] {
    accepting = false;
    error_code ignored;
    acceptor->close(ignored);
    accept_pause->cancel();
  });
  for (const auto& thread : threads) thread->post([thread] { thread->begin_drain(); });
  const int64_t end = now_us() + timeout_ms * 1000;
  while (open_connections() > 0 && now_us() < end) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  for (const auto& thread : threads) thread->post([thread] { thread->close_all(); });
}

void Server::Impl::stop() {
  for (const auto& thread : threads) thread->context().stop();
  guards.clear();
  for (std::thread& worker : workers) worker.join();
  workers.clear();
  acceptor.reset();
  accept_pause.reset();
}

void Server::Impl::destroy_pending() {
  // All are closed before the first one's pending work goes: closing may post from one to another.
  for (const auto& thread : threads) thread->close_all();
  for (const auto& thread : threads) thread->shut_down();
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() {
  impl_->stop();
  impl_->destroy_pending();
}

void Server::route(std::string method, std::string path, Handler handler, RouteOptions options) {
  impl_->rules->router.add(std::move(method), std::move(path), std::move(handler), options);
}

std::vector<RouteName> Server::routes() const { return impl_->rules->router.names(); }

void Server::fallback(Handler handler, RouteOptions options) {
  impl_->rules->router.set_fallback(std::move(handler), options);
}

void Server::on_access(AccessHook hook) { impl_->rules->access = std::move(hook); }

void Server::on_error(std::function<Response(int, const std::string&, std::string_view)> hook) {
  impl_->rules->error = std::move(hook);
}

void Server::on_request(std::function<bool(const ExchangePtr&)> hook) {
  impl_->rules->request = std::move(hook);
}

Result<void> Server::start() {
  open_routes();
  return impl_->start();
}

Result<void> Server::start_closed() { return impl_->start(); }

void Server::open_routes() {
  impl_->rules->is_open.store(true, std::memory_order_release);
  if (impl_->acceptor != nullptr)
    impl_->threads.front()->post([impl = impl_.get()] {
      if (impl->acceptor != nullptr && impl->acceptor->is_open()) impl->begin_accepting();
    });
}

uint16_t Server::port() const { return impl_->port; }

size_t Server::threads() const { return impl_->threads.size(); }

std::vector<asio::any_io_executor> Server::executors() const {
  std::vector<asio::any_io_executor> executors;
  for (const auto& thread : impl_->threads) executors.emplace_back(thread->context().get_executor());
  return executors;
}

void Server::drain(int64_t timeout_ms) { impl_->drain(timeout_ms); }

void Server::stop() { impl_->stop(); }

ServerStats Server::stats() const {
  ServerStats stats;
  for (const auto& thread : impl_->threads) {
    const ThreadCounters& counters = thread->counters;
    stats.connections += counters.connections.load(std::memory_order_relaxed);
    stats.connections_total += counters.connections_total.load(std::memory_order_relaxed);
    stats.requests += counters.requests.load(std::memory_order_relaxed);
    stats.bad_requests += counters.bad_requests.load(std::memory_order_relaxed);
    stats.timeouts += counters.timeouts.load(std::memory_order_relaxed);
    stats.in_flight += counters.in_flight.load(std::memory_order_relaxed);
  }
  stats.connections_refused = impl_->refused.load(std::memory_order_relaxed);
  if (impl_->rules->tls) {
    stats.tls_reloads = impl_->rules->tls->reloads();
    stats.tls_failures = impl_->rules->tls->failures();
    stats.tls_expires_at_s = impl_->rules->tls->expires_at_s();
  }
  return stats;
}

}  // namespace enhanced_gptcache::http
