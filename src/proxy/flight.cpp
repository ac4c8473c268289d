#include "proxy/flight.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace enhanced_gptcache::proxy {

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

}  // namespace

Flight::Flight(asio::any_io_executor leader, FlightLimits limits)
    : leader_(std::move(leader)), limits_(limits), reader_timer_(leader_) {}

Flight::WatcherPtr Flight::join(asio::any_io_executor executor, bool follower) {
  auto watcher = std::make_shared<Watcher>(std::move(executor));
  watcher->follower = follower;
  const std::lock_guard lock(mutex_);
  if (closed_ || abandoned_ || failed_ || completed_) return nullptr;
  watchers_.push_back(watcher);
  return watcher;
}

asio::awaitable<Flight::Progress> Flight::next(WatcherPtr watcher) {
  for (;;) {
    std::unique_lock lock(mutex_);
    Progress progress;
    if (watcher->left || watcher->dropped) co_return progress;
    if (hit_) {
      progress.event = Event::kHit;
      co_return progress;
    }
    if (head_ && !watcher->told_head) {
      watcher->told_head = true;
      progress.event = Event::kHead;
      co_return progress;
    }
    const size_t pieces_end = first_piece_ + pieces_.size();
    if (watcher->next_piece < pieces_end) {
      progress.event = Event::kPieces;
      for (; watcher->next_piece < pieces_end; ++watcher->next_piece)
        progress.pieces.push_back(pieces_[watcher->next_piece - first_piece_]);
      watcher->bytes_taken = bytes_total_;
      trim();
      const bool wake_reader = reader_waiting_ && reader_may_go();
      if (wake_reader) reader_waiting_ = false;
      lock.unlock();
      if (wake_reader) asio::dispatch(leader_, [self = shared_from_this()] { self->reader_timer_.cancel(); });
      co_return progress;
    }
    if (completed_ || failed_) {
      progress.event = completed_ ? Event::kComplete : Event::kFailed;
      co_return progress;
    }
    watcher->waiting = true;
    watcher->timer.expires_at(asio::steady_timer::time_point::max());
    lock.unlock();
    co_await watcher->timer.async_wait(kNoThrow);
  }
}

void Flight::leave(const WatcherPtr& watcher) {
  std::unique_lock lock(mutex_);
  if (watcher->left) return;
  watcher->left = true;
  std::erase(watchers_, watcher);
  std::vector<WatcherPtr> woken;
  if (watcher->waiting) {
    watcher->waiting = false;
    woken.push_back(watcher);
  }
  const bool last = watchers_.empty() && !completed_ && !failed_ && !hit_;
  const bool abandon = last && !limits_.finish_unwatched;
  trim();
  const bool wake_reader = reader_waiting_ && (abandon || reader_may_go());
  if (wake_reader) reader_waiting_ = false;
  if (abandon) {
    abandoned_ = true;
    // Under the lock: the leader takes the pointer away under the same lock before the response dies.
    if (response_ != nullptr) response_->cancel();
  }
  lock.unlock();
  wake(std::move(woken));
  if (abandon && on_closed_) on_closed_();
  if (!abandon && !wake_reader) return;
  asio::post(leader_, [self = shared_from_this(), abandon] {
    self->reader_timer_.cancel();
    if (abandon) self->cancellation_.emit(asio::cancellation_type::terminal);
  });
}

TokenCount Flight::tokens_spent() const {
  const std::lock_guard lock(mutex_);
  return tokens_spent_;
}

void Flight::wake(std::vector<WatcherPtr> watchers) {
  for (WatcherPtr& watcher : watchers) {
    const auto executor = watcher->executor;
    asio::dispatch(executor, [watcher = std::move(watcher)] { watcher->timer.cancel(); });
  }
}

std::vector<Flight::WatcherPtr> Flight::take_waiting() {
  std::vector<WatcherPtr> waiting;
  for (const WatcherPtr& watcher : watchers_) {
    if (!watcher->waiting) continue;
    watcher->waiting = false;
    waiting.push_back(watcher);
  }
  return waiting;
}

bool Flight::reader_may_go() const {
  if (watchers_.empty()) return true;
  uint64_t furthest = 0;
  for (const WatcherPtr& watcher : watchers_) furthest = std::max(furthest, watcher->bytes_taken);
  return bytes_total_ - furthest <= limits_.window_bytes;
}

/// Forgets what everybody has seen, once nobody new can come; drops watchers that fell too far behind.
void Flight::trim() {
  if (bytes_total_ <= limits_.log_bytes_max) return;
  for (const WatcherPtr& watcher : watchers_)
    if (bytes_total_ - watcher->bytes_taken > limits_.lag_bytes_max) watcher->dropped = true;
  size_t needed = first_piece_ + pieces_.size();
  for (const WatcherPtr& watcher : watchers_)
    if (!watcher->dropped) needed = std::min(needed, watcher->next_piece);
  while (first_piece_ < needed) {
    pieces_.pop_front();
    ++first_piece_;
  }
}

void Flight::close_and_wake(std::unique_lock<std::mutex> lock) {
  const bool first = !closed_;
  closed_ = true;
  auto waiting = take_waiting();
  lock.unlock();
  wake(std::move(waiting));
  if (first && on_closed_) on_closed_();
}

void Flight::publish_hit(Lookup lookup) {
  std::unique_lock lock(mutex_);
  hit_ = std::move(lookup);
  close_and_wake(std::move(lock));
}

void Flight::publish_head(FlightHead head) {
  std::unique_lock lock(mutex_);
  head_ = std::move(head);
  auto waiting = take_waiting();
  lock.unlock();
  wake(std::move(waiting));
}

asio::awaitable<bool> Flight::publish(std::string bytes) {
  {
    std::unique_lock lock(mutex_);
    if (abandoned_) co_return false;
    bytes_total_ += bytes.size();
    pieces_.push_back(std::make_shared<const std::string>(std::move(bytes)));
    trim();
    if (bytes_total_ > limits_.log_bytes_max && !closed_) {
      close_and_wake(std::move(lock));
    } else {
      auto waiting = take_waiting();
      lock.unlock();
      wake(std::move(waiting));
    }
  }
  for (;;) {
    std::unique_lock lock(mutex_);
    if (abandoned_) co_return false;
    if (reader_may_go()) co_return true;
    reader_waiting_ = true;
    reader_timer_.expires_at(asio::steady_timer::time_point::max());
    lock.unlock();
    co_await reader_timer_.async_wait(kNoThrow);
  }
}

void Flight::complete(TokenCount tokens_spent) {
  std::unique_lock lock(mutex_);
  if (failed_ || completed_) return;
  completed_ = true;
  tokens_spent_ = tokens_spent;
  close_and_wake(std::move(lock));
}

void Flight::fail(ApiError error) {
  std::unique_lock lock(mutex_);
  if (failed_ || completed_) return;
  failed_ = true;
  error_ = std::move(error);
  close_and_wake(std::move(lock));
}

bool Flight::is_abandoned() const {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

void Flight::set_response(http::UpstreamResponse* response) {
  const std::lock_guard lock(mutex_);
  response_ = response;
  if (response != nullptr && abandoned_) response->cancel();
}

}  // namespace enhanced_gptcache::proxy
