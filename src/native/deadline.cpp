#include "native/deadline.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include "native/reply.h"

namespace enhanced_gptcache::native {

struct AnswerOnce::State {
  State(http::ExchangePtr wanted, int64_t wait_ms)
      : exchange(std::move(wanted)), timer(exchange->executor()), timeout_ms(wait_ms) {}
  http::ExchangePtr exchange;
  boost::asio::steady_timer timer;  // touched on the connection's thread only
  int64_t timeout_ms;
  std::atomic<bool> answered{false};
};

AnswerOnce::AnswerOnce(http::ExchangePtr exchange, int64_t timeout_ms)
    : state_(std::make_shared<State>(std::move(exchange), timeout_ms)) {
  state_->timer.expires_after(std::chrono::milliseconds(timeout_ms));
  // The timer holds the state weakly, or every answered request would live on until its deadline.
  state_->timer.async_wait([weak = std::weak_ptr<State>(state_)](const boost::system::error_code& error) {
    const auto state = weak.lock();
    if (error || state == nullptr || state->answered.exchange(true)) return;
    state->exchange->send(error_response(
        504, fmt::format("the cache did not answer within resources.request_timeout_seconds ({} ms)",
                         state->timeout_ms)));
  });
}

AnswerOnce::~AnswerOnce() {
  // The timer must be cancelled and destroyed on its own thread.
  boost::asio::post(state_->exchange->executor(), [state = state_] { state->timer.cancel(); });
}

void AnswerOnce::send(http::Response response) {
  if (!state_->answered.exchange(true)) state_->exchange->send(std::move(response));
}

}  // namespace enhanced_gptcache::native
