#pragma once
// An UpstreamClient that answers from a script and remembers what it was asked.

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/upstream.h"

namespace enhanced_gptcache::fakes {

/// One scripted answer. Pieces come one per read, each from its own turn of the event loop.
struct FakeAnswer {
  int status = 200;
  http::Headers headers = {{"Content-Type", "application/json"}};
  std::vector<std::string> pieces;
  bool cut = false;            ///< after the pieces: an error instead of the end
  std::optional<Error> error;  ///< no answer at all
  /// Wait for release() before piece number `hold_before` (0: before the head).
  int hold_before = -1;
};

class FakeUpstream final : public http::UpstreamClient {
 public:
  using Script = std::function<FakeAnswer(const http::UpstreamRequest&)>;
  explicit FakeUpstream(Script script) : script_(std::move(script)) {}

  http::asio::awaitable<Result<std::unique_ptr<http::UpstreamResponse>>> send(
      http::UpstreamRequest request) override;
  Result<void> set_options(http::UpstreamOptions) override { return {}; }
  bool passes_caller_credential(std::string_view model) const override { return passes && model != "routed"; }
  std::map<std::string, http::UpstreamStats> stats() const override { return {}; }

  /// Lets every held answer go on, now and later.
  void release() { released = true; }
  std::vector<http::UpstreamRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  size_t calls() const { return requests().size(); }

  std::atomic<bool> released{false};
  std::atomic<bool> passes{true};
  std::atomic<int> cancelled{0};
  std::string raw_sent;
  std::string pulled_body;

 private:
  mutable std::mutex mutex_;
  std::vector<http::UpstreamRequest> requests_;
  Script script_;
};

/// One turn of the event loop.
inline http::asio::awaitable<void> turn() {
  namespace asio = http::asio;
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(0));
  co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

class FakeResponse final : public http::UpstreamResponse {
 public:
  FakeResponse(FakeUpstream& client, FakeAnswer answer) : client_(client), answer_(std::move(answer)) {}
  int status() const override { return answer_.status; }
  const http::Headers& headers() const override { return answer_.headers; }
  const std::string& upstream_name() const override { return name_; }
  http::asio::awaitable<Result<std::string>> read() override {
    while (!cancelled_ && answer_.hold_before == static_cast<int>(next_) + 1 && !client_.released)
      co_await turn();
    co_await turn();
    if (cancelled_) co_return fail(ErrorCode::kUnavailable, "cancelled");
    if (next_ < answer_.pieces.size()) co_return answer_.pieces[next_++];
    if (answer_.cut) co_return fail(ErrorCode::kUpstream, "the connection was cut");
    co_return std::string();
  }
  http::asio::awaitable<Result<std::string>> read_decoded() override { return read(); }
  http::asio::awaitable<Result<std::string>> read_raw() override { return read(); }
  http::asio::awaitable<bool> write_raw(std::string bytes) override {
    client_.raw_sent += bytes;
    co_return true;
  }
  void cancel() override {
    cancelled_ = true;
    ++client_.cancelled;
  }

 private:
  FakeUpstream& client_;
  FakeAnswer answer_;
  std::string name_ = "default";
  size_t next_ = 0;
  std::atomic<bool> cancelled_{false};
};

inline http::asio::awaitable<Result<std::unique_ptr<http::UpstreamResponse>>> FakeUpstream::send(
    http::UpstreamRequest request) {
  if (request.body_source) {
    for (;;) {
      auto piece = co_await request.body_source();
      if (!piece || piece->empty()) break;
      pulled_body += *piece;
    }
    request.body_source = nullptr;
  }
  FakeAnswer answer;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    answer = script_(request);
  }
  while (answer.hold_before == 0 && !released) co_await turn();
  co_await turn();
  if (answer.error) co_return fail(*answer.error);
  std::unique_ptr<http::UpstreamResponse> response = std::make_unique<FakeResponse>(*this, std::move(answer));
  co_return response;
}

}  // namespace enhanced_gptcache::fakes
