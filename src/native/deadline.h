#pragma once
// One answer per request, even when a slow cache and a timer race for it.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "http/exchange.h"

namespace enhanced_gptcache::native {

/// Sends the first answer it is given and drops the rest; after `timeout_ms` it sends 504 itself.
/// Thread rule: send() from any thread. Make it with make_shared on the exchange's thread.
class AnswerOnce {
 public:
  AnswerOnce(http::ExchangePtr exchange, int64_t timeout_ms);
  ~AnswerOnce();
  void send(http::Response response);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace enhanced_gptcache::native
