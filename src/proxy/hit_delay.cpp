#include "proxy/hit_delay.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "proxy/await_callback.h"

namespace enhanced_gptcache::proxy {
namespace {

/// While nothing was ever missed.
constexpr int64_t kUnknownUs = 1'000'000;
/// Where the first byte of a stream comes, as a share of the whole, while none was seen.
constexpr double kFirstByteShare = 0.3;
constexpr std::string_view kEventEnd = "\n\n";

asio::awaitable<void> wait_until(const Call& call, int64_t after_us) {
  const int64_t left_us = call.began_us + after_us - call.services->clock.mono_us();
  if (left_us <= 0) co_return;
  asio::steady_timer timer(call.exchange->executor());
  timer.expires_after(std::chrono::microseconds(left_us));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

/// The next event of a rendered stream, with its end; the rest when there is no end.
std::string_view take_event(std::string_view& stream) {
  const size_t end = stream.find(kEventEnd);
  const size_t size = end == std::string_view::npos ? stream.size() : end + kEventEnd.size();
  const std::string_view event = stream.substr(0, size);
  stream.remove_prefix(size);
  return event;
}

size_t count_events(std::string_view stream) {
  size_t count = 0;
  while (!stream.empty()) {
    take_event(stream);
    ++count;
  }
  return count;
}

/// 200, or 499 when the caller has left.
asio::awaitable<int> send_events(Call& call, http::Response response, AnswerTimes times) {
  std::string_view stream = response.body;
  const auto count = static_cast<int64_t>(count_events(stream));
  const int64_t span_us = times.total_us - times.first_byte_us;
  if (!co_await call.exchange->start(200, std::move(response.headers))) co_return 499;
  for (int64_t i = 0; !stream.empty(); ++i) {
    co_await wait_until(call, times.first_byte_us + span_us * i / std::max<int64_t>(1, count - 1));
    if (!co_await call.exchange->write(std::string(take_event(stream)))) co_return 499;
  }
  co_await call.exchange->finish();
  co_return 200;
}

asio::awaitable<void> run(CallPtr call, http::Response response, AnswerTimes times,
                          std::function<void(Call& call, int status)> done) {
  const bool stream = call->body.stream;
  co_await wait_until(*call, stream ? times.first_byte_us : times.total_us);
  mark_first_byte(*call);
  if (!stream) {
    done(*call, 200);
    call->exchange->send(std::move(response));
    co_return;
  }
  const int status = co_await send_events(*call, std::move(response), times);
  done(*call, status);
}

}  // namespace

void MissTimes::add(const AnswerTimes& times) {
  const std::lock_guard lock(mutex_);
  ring_[count_++ % kKept] = times;
}

std::optional<AnswerTimes> MissTimes::sample() const {
  const std::lock_guard lock(mutex_);
  if (count_ == 0) return std::nullopt;
  return ring_[random_() % std::min(count_, kKept)];
}

AnswerTimes hold_times(double latency_ms, const std::optional<AnswerTimes>& recent) {
  AnswerTimes times;
  times.total_us = recent ? recent->total_us : kUnknownUs;
  if (latency_ms > 0) times.total_us = static_cast<int64_t>(std::min(latency_ms * 1000.0, 1e12));
  times.total_us = std::clamp<int64_t>(times.total_us, 0, kHoldMaxUs);
  double share = kFirstByteShare;
  if (recent && recent->total_us > 0)
    share = static_cast<double>(recent->first_byte_us) / static_cast<double>(recent->total_us);
  times.first_byte_us =
      static_cast<int64_t>(static_cast<double>(times.total_us) * std::clamp(share, 0.0, 1.0));
  return times;
}

bool is_padded_namespace(const ProxyOptions& options, std::string_view name_space) {
  return std::any_of(options.padded_namespaces.begin(), options.padded_namespaces.end(),
                     [&](const std::string& one) { return one == "*" || one == name_space; });
}

http::Headers padded_headers(const Call& call) {
  http::Headers headers;
  if (call.body.stream) {
    headers.push_back({"Content-Type", "text/event-stream; charset=utf-8"});
    headers.push_back({"Cache-Control", "no-cache"});
  } else {
    headers.push_back({"Content-Type", "application/json"});
  }
  headers.push_back({"X-Cache-Request-Id", call.request_id});
  return headers;
}

void send_padded(CallPtr call, http::Response response, double latency_ms,
                 std::function<void(Call& call, int status)> done) {
  const AnswerTimes times =
      hold_times(latency_ms, call->services->miss_times[call->body.stream ? 1 : 0].sample());
  const auto executor = call->exchange->executor();
  asio::co_spawn(executor, run(call, std::move(response), times, std::move(done)),
                 [call](const std::exception_ptr& thrown) {
                   if (thrown == nullptr) return;
                   base::log_error("a held answer ended by an exception; its connection is closed");
                   account(*call, 500);
                   call->exchange->abort();
                 });
}

}  // namespace enhanced_gptcache::proxy
