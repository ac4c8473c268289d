#include "http/server_thread.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <vector>

#include "base/canonical_json.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/connection.h"

namespace enhanced_gptcache::http {

int64_t now_us() { return base::system_clock().mono_us(); }

Response ServerRules::make_error(int status, const std::string& message, std::string_view path) const {
  if (error) return error(status, message, path);
  Response response;
  response.status = status;
  response.headers.push_back({"Content-Type", "application/json"});
  response.body =
      "{\"error\":{\"message\":" + base::json_string(message) + ",\"code\":" + std::to_string(status) + "}}";
  return response;
}

ServerThread::ServerThread(std::shared_ptr<const ServerRules> rules) : rules_(std::move(rules)) {
  const ServerOptions& options = rules_->options;
  const int64_t shortest = std::min({options.header_timeout_ms, options.body_timeout_ms,
                                     options.idle_timeout_ms, options.write_timeout_ms});
  sweep_interval_ms_ = std::clamp<int64_t>(shortest / 8, 5, 500);
}

void ServerThread::run() {
  thread_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  for (bool done = false; !done;) {
    try {
      loop_.run();
      done = true;
    } catch (const std::exception& thrown) {
      // Asio 1.81 throws from here when a coroutine is cancelled between its co_spawn and its first step.
      base::log_error("an exception left a handler on a server thread: {}", thrown.what());
    }
  }
  thread_id_.store(std::thread::id{}, std::memory_order_relaxed);
}

void ServerThread::post(std::function<void()> work) {
  const std::lock_guard lock(post_mutex_);
  if (!is_shut_down()) asio::post(loop_, std::move(work));
}

void ServerThread::add(std::shared_ptr<Connection> connection) {
  counters.connections_total.fetch_add(1, std::memory_order_relaxed);
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void ServerThread::remove(Connection& connection) {
  if (connections_.erase(&connection) > 0) counters.connections.fetch_sub(1, std::memory_order_relaxed);
}

void ServerThread::start_sweeping() {
  sweep_timer_ = std::make_unique<asio::steady_timer>(loop_);
  sweep();
}

void ServerThread::sweep() {
  sweep_timer_->expires_after(std::chrono::milliseconds(sweep_interval_ms_));
  sweep_timer_->async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    // A copy, because acting on a deadline may remove the connection.
    std::vector<std::shared_ptr<Connection>> connections;
    connections.reserve(connections_.size());
    for (const auto& [key, connection] : connections_) connections.push_back(connection);
    const int64_t now = now_us();
    for (const auto& connection : connections) connection->check_deadlines(now);
    sweep();
  });
}

std::string_view ServerThread::date_line() { return date_line_.at(std::time(nullptr)); }

void ServerThread::begin_drain() {
  draining_ = true;
  std::vector<std::shared_ptr<Connection>> connections;
  for (const auto& [key, connection] : connections_) connections.push_back(connection);
  for (const auto& connection : connections) connection->begin_drain();
}

void ServerThread::close_all() {
  std::vector<std::shared_ptr<Connection>> connections;
  for (const auto& [key, connection] : connections_) connections.push_back(connection);
  for (const auto& connection : connections) connection->close();
}

void ServerThread::shut_down() {
  close_all();
  {
    const std::lock_guard lock(post_mutex_);
    if (shut_down_.exchange(true, std::memory_order_acq_rel)) return;
  }
  sweep_timer_.reset();
  // Exchanges that go with a handler or a coroutine find shut_down_ set.
  loop_.drop_pending();
}

}  // namespace enhanced_gptcache::http
