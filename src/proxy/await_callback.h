#pragma once
// From the cache's callbacks to coroutines: only the proxy does this, and it always resumes on the
// connection's thread.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::proxy {

namespace asio = boost::asio;

/// Runs `start(callback)` and waits for the callback, which may come on any thread, at most once.
/// kDeadline after `timeout_ms`; a later callback is ignored.
template <typename T, typename Start>
asio::awaitable<Result<T>> await_callback(int64_t timeout_ms, Start start) {
  struct Waiting {
    explicit Waiting(const asio::any_io_executor& executor) : timer(executor) {}
    asio::steady_timer timer;
    std::optional<Result<T>> value;  // touched on the coroutine's executor only
  };
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  auto waiting = std::make_shared<Waiting>(executor);
  waiting->timer.expires_after(std::chrono::milliseconds(timeout_ms));
  start([waiting, executor](Result<T> result) {
    asio::dispatch(executor, [waiting, result = std::move(result)]() mutable {
      waiting->value = std::move(result);
      waiting->timer.cancel();
    });
  });
  if (!waiting->value) co_await waiting->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (!waiting->value) co_return fail(ErrorCode::kDeadline, "no answer in time");
  co_return std::move(*waiting->value);
}

}  // namespace enhanced_gptcache::proxy
