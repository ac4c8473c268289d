#pragma once
// Single flight: identical misses share one lookup and one upstream call. A flight is what one leader
// coroutine publishes (a semantic hit, or the head and pieces of a provider's answer) and any number
// of watchers on any threads read, each at its own pace from the first byte on.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "http/upstream.h"
#include "proxy/errors.h"
#include "proxy/token_count.h"

namespace enhanced_gptcache::proxy {

namespace asio = boost::asio;

struct FlightLimits {
  size_t log_bytes_max = size_t{4} << 20U;  ///< above it nobody can join any more
  size_t window_bytes = size_t{1} << 20U;   ///< the provider is not read further ahead of the fastest watcher
  size_t lag_bytes_max = size_t{8} << 20U;  ///< a watcher further behind the newest byte is dropped
  bool finish_unwatched = false;            ///< go on to learn after the last watcher has left
};

/// How the provider's answer begins.
struct FlightHead {
  int status = 200;
  http::Headers headers;  ///< end-to-end, filtered
  bool event_stream = false;
  std::string miss_reason;  ///< why the cache did not answer
  std::string miss_detail;
  std::string request_id;  ///< of the cache's decision
};

/// Thread rule: any thread, except where a method names its executor.
class Flight : public std::enable_shared_from_this<Flight> {
 public:
  /// One reader. Confined to its executor but for the fields the flight guards.
  struct Watcher {
    explicit Watcher(asio::any_io_executor on) : executor(std::move(on)), timer(executor) {}
    const asio::any_io_executor executor;
    asio::steady_timer timer;
    bool follower = false;
    // Guarded by the flight's mutex.
    bool waiting = false, left = false, dropped = false, told_head = false;
    size_t next_piece = 0;
    uint64_t bytes_taken = 0;
  };
  using WatcherPtr = std::shared_ptr<Watcher>;
  using Piece = std::shared_ptr<const std::string>;

  enum class Event {
    kHit,       ///< hit() is set
    kHead,      ///< head() is set
    kPieces,    ///< more bytes
    kComplete,  ///< all of it was handed out
    kFailed,    ///< error() is set; after kHead the answer was cut
    kLeft,      ///< this watcher left or was dropped
  };
  struct Progress {
    Event event = Event::kLeft;
    std::vector<Piece> pieces;
  };

  Flight(asio::any_io_executor leader, FlightLimits limits);

  // For watchers.
  /// nullptr: the flight takes nobody any more.
  WatcherPtr join(asio::any_io_executor executor, bool follower);
  /// Waits for the next thing this watcher has not seen. On the watcher's executor.
  asio::awaitable<Progress> next(WatcherPtr watcher);
  /// The last one to leave cancels the call (unless finish_unwatched).
  void leave(const WatcherPtr& watcher);
  const Lookup& hit() const { return *hit_; }
  const FlightHead& head() const { return *head_; }
  const ApiError& error() const { return error_; }
  TokenCount tokens_spent() const;

  // For the leader, on its executor.
  void publish_hit(Lookup lookup);
  void publish_head(FlightHead head);
  /// Waits while every watcher is a window behind. False: abandoned.
  asio::awaitable<bool> publish(std::string bytes);
  void complete(TokenCount tokens_spent);
  void fail(ApiError error);
  bool is_abandoned() const;
  /// The response being read, to be cancelled when the flight is abandoned; nullptr before it goes away.
  void set_response(http::UpstreamResponse* response);
  asio::cancellation_signal& cancellation() { return cancellation_; }
  const asio::any_io_executor& leader() const { return leader_; }
  /// Called once when nobody can join any more. Set before the flight is shared.
  void on_closed(std::function<void()> callback) { on_closed_ = std::move(callback); }

 private:
  void wake(std::vector<WatcherPtr> watchers);
  /// With the lock held: those that wait, marked as woken.
  std::vector<WatcherPtr> take_waiting();
  bool reader_may_go() const;
  void trim();
  void close_and_wake(std::unique_lock<std::mutex> lock);

  const asio::any_io_executor leader_;
  const FlightLimits limits_;
  std::function<void()> on_closed_;
  asio::cancellation_signal cancellation_;  // leader's executor only
  asio::steady_timer reader_timer_;         // leader's executor only

  mutable std::mutex mutex_;
  std::vector<WatcherPtr> watchers_;
  std::optional<Lookup> hit_;
  std::optional<FlightHead> head_;
  ApiError error_;
  std::deque<Piece> pieces_;
  size_t first_piece_ = 0;  // number of pieces_[0]
  uint64_t bytes_total_ = 0;
  uint64_t bytes_trimmed_ = 0;
  TokenCount tokens_spent_;
  http::UpstreamResponse* response_ = nullptr;
  bool closed_ = false, completed_ = false, failed_ = false, abandoned_ = false, reader_waiting_ = false;
};
using FlightPtr = std::shared_ptr<Flight>;

}  // namespace enhanced_gptcache::proxy
