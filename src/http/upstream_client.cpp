// UpstreamClient: which target, which connection, how often.

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>
#include <random>

#include "http/server_thread.h"
#include "http/upstream.h"
#include "http/upstream_pool.h"
#include "http/upstream_request.h"
#include "http/upstream_response.h"
#include "http/upstream_target.h"

namespace enhanced_gptcache::http {
namespace {

/// A longer Retry-After is passed on to the caller, who may prefer another model to waiting.
constexpr double kRetryAfterMaxS = 5.0;

/// The breaker's answer for one request. Destroyed without an outcome (the caller left), it gives the probe
/// back.
class Permit {
 public:
  explicit Permit(std::shared_ptr<TargetState> state) : state_(std::move(state)) {
    allowed_ = state_->breaker.allow(now_us(), is_probe_);
    settled_ = !allowed_;
  }
  ~Permit() {
    if (!settled_ && is_probe_) state_->breaker.withdrawn();
  }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;
  bool allowed() const { return allowed_; }
  void succeeded() {
    settled_ = true;
    state_->breaker.succeeded();
  }
  void failed() {
    settled_ = true;
    state_->breaker.failed(now_us());
  }

 private:
  std::shared_ptr<TargetState> state_;
  bool allowed_ = false, is_probe_ = false, settled_ = false;
};

/// What one try came to. `answer` or `error`.
struct Try {
  std::unique_ptr<UpstreamAnswer> answer;
  Error error;
  bool unsent = false;      ///< no byte of the request went out
  bool stale = false;       ///< a pooled connection that the other end had closed
  bool may_repeat = false;  ///< a failure after which another try makes sense
};

/// A request on its way, with what its tries share.
struct Job {
  UpstreamRequest request;
  std::shared_ptr<const UpstreamSnapshot> snapshot;
  bool source_used = false;    ///< body_source was pulled: the body cannot be sent again
  bool source_failed = false;  ///< the caller's side of it broke, which says nothing about the upstream
  bool replayable() const { return !request.body_source; }
};

int64_t jitter_ms(int64_t base_ms, int attempt) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const int64_t ceiling = std::min<int64_t>(base_ms << std::min(attempt, 10), 60'000);
  return std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(ceiling, 0))(random);
}

/// Seconds to wait as the answer asks for, if it does and it is a number.
std::optional<double> retry_after_s(const Headers& headers) {
  const std::string* milliseconds = find_header(headers, "retry-after-ms");
  const std::string* text = milliseconds != nullptr ? milliseconds : find_header(headers, "retry-after");
  if (text == nullptr) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || !(value >= 0)) return std::nullopt;
  return milliseconds != nullptr ? value / 1000.0 : value;
}

/// Whether, and after how long, an answer with this status is asked for again.
std::optional<int64_t> retry_delay_ms(const UpstreamAnswer& answer, int64_t base_ms, int attempt) {
  const int status = answer.status();
  if (status == 502 || status == 504) return jitter_ms(base_ms, attempt);
  if (status != 429 && status != 503) return std::nullopt;
  const auto wanted_s = retry_after_s(answer.headers());
  if (!wanted_s || *wanted_s > kRetryAfterMaxS) return std::nullopt;
  return static_cast<int64_t>(*wanted_s * 1000.0) + jitter_ms(base_ms, 0);
}

bool is_cancelled(const Error& error) {
  return error.code == ErrorCode::kUnavailable && error.message == "cancelled";
}

asio::awaitable<bool> pause_for(int64_t delay_ms) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, std::chrono::milliseconds(delay_ms));
  auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  co_return !error;
}

std::string chunk_of(const std::string& piece) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), piece.size(), 16).ptr;
  return std::string(size.data(), end) + "\r\n" + piece + "\r\n";
}

Error write_error(const IoOutcome& outcome, const Target& target, int64_t timeout_ms) {
  const std::string where = target.plan.url.host_and_port();
  if (outcome.kind == IoOutcome::Kind::kCancelled) return {ErrorCode::kUnavailable, "cancelled"};
  if (outcome.kind == IoOutcome::Kind::kExpired) {
    return {ErrorCode::kDeadline, where + " took no more of the request for the idle timeout of " +
                                      std::to_string(timeout_ms) + " ms"};
  }
  return {ErrorCode::kUpstream, "sending the request to " + where + " failed: " + outcome.message};
}

/// Pulls the body from its source and sends it. kInvalidArgument and the like are the source's own errors.
asio::awaitable<Result<void>> send_source(std::shared_ptr<UpstreamStream> stream, Job& job,
                                          const Target& target) {
  const int64_t timeout_ms = job.snapshot->options().idle_timeout_ms;
  const bool chunked = !job.request.body_length;
  uint64_t left = job.request.body_length.value_or(0);
  job.source_used = true;
  for (;;) {
    Result<std::string> piece = co_await job.request.body_source();
    job.source_failed = !piece || (!chunked && (piece->size() > left || (piece->empty() && left > 0)));
    if (!piece) co_return fail(piece.error());
    if (!chunked && piece->size() > left) {
      co_return fail(ErrorCode::kInvalidArgument, "the request body is longer than its stated length");
    }
    left -= chunked ? 0 : piece->size();
    const bool last = piece->empty();
    const std::string bytes =
        chunked ? (last ? std::string("0\r\n\r\n") : chunk_of(*piece)) : std::move(*piece);
    if (!bytes.empty()) {
      std::vector<asio::const_buffer> buffers{asio::buffer(bytes)};
      const IoOutcome outcome = co_await stream->write_all(std::move(buffers), timeout_ms);
      if (outcome.kind != IoOutcome::Kind::kOk) co_return fail(write_error(outcome, target, timeout_ms));
    }
    if (!last) continue;
    if (left > 0)
      co_return fail(ErrorCode::kInvalidArgument, "the request body is shorter than its stated length");
    co_return Result<void>();
  }
}

class Client final : public UpstreamClient, public std::enable_shared_from_this<Client> {
 public:
  explicit Client(std::shared_ptr<const UpstreamSnapshot> snapshot) : snapshot_(std::move(snapshot)) {}

  asio::awaitable<Result<std::unique_ptr<UpstreamResponse>>> send(UpstreamRequest request) override;
  Result<void> set_options(UpstreamOptions options) override;
  bool passes_caller_credential(std::string_view model) const override {
    return snapshot()->targets_for(model).front().passes_caller_credential;
  }
  std::map<std::string, UpstreamStats> stats() const override;

 private:
  std::shared_ptr<const UpstreamSnapshot> snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const UpstreamSnapshot> snapshot_;
};

/// Sends the request on `stream` and reads the head of the answer.
asio::awaitable<Try> exchange_on(std::shared_ptr<UpstreamStream> stream, Job& job, const Target& target,
                                 std::string head, bool reused) {
  const auto executor = co_await asio::this_coro::executor;
  Try result;
  const int64_t timeout_ms = job.snapshot->options().idle_timeout_ms;
  std::vector<asio::const_buffer> buffers{asio::buffer(head)};
  if (job.replayable() && !job.request.body.empty()) buffers.push_back(asio::buffer(job.request.body));
  const IoOutcome written = co_await stream->write_all(std::move(buffers), timeout_ms);
  if (written.kind == IoOutcome::Kind::kCancelled || written.kind == IoOutcome::Kind::kExpired) {
    result.error = write_error(written, target, timeout_ms);
    co_return result;
  }
  if (written.kind == IoOutcome::Kind::kOk && !job.replayable()) {
    Result<void> sent = co_await send_source(stream, job, target);
    if (!sent && (job.source_failed || sent.error().code != ErrorCode::kUpstream)) {
      result.error = sent.error();
      co_return result;
    }
  }
  // After a failed write there may still be an answer: servers refuse a body by answering and closing.
  auto answer = std::make_unique<UpstreamAnswer>(stream, target, job.snapshot, executor);
  std::optional<HeadFailure> failure = co_await answer->read_head(job.request.method == "HEAD");
  if (!failure) {
    result.answer = std::move(answer);
    co_return result;
  }
  result.error = failure->error;
  const bool lost = failure->before_first_byte && !failure->expired && !is_cancelled(failure->error);
  result.stale = lost && reused;
  result.may_repeat = lost;
  co_return result;
}

asio::awaitable<Try> try_fresh(Job& job, const Target& target, std::string head) {
  Try result;
  TargetState& state = *target.state;
  auto connected = co_await connect_upstream(target.plan);
  if (!connected) {
    result.error = connected.error();
    result.unsent = true;
    result.may_repeat = !is_cancelled(result.error);
    if (result.error.code == ErrorCode::kDeadline) {
      state.timeouts.fetch_add(1, std::memory_order_relaxed);
      result.error.code = ErrorCode::kUnavailable;  // kDeadline is for an answer that does not come
    }
    co_return result;
  }
  state.opened.fetch_add(1, std::memory_order_relaxed);
  co_return co_await exchange_on(std::move(*connected), job, target, std::move(head), false);
}

/// One try: a pooled connection if there is one, and once more on a fresh one if that had gone stale.
asio::awaitable<Try> try_once(Job& job, const Target& target, std::string head) {
  const auto executor = co_await asio::this_coro::executor;
  std::shared_ptr<UpstreamStream> pooled;
  // A streamed body can be sent once only, so it does not go on a connection that may be stale.
  if (job.replayable()) {
    const size_t idle_max = job.snapshot->options().idle_connections_max;
    pooled = UpstreamPool::of(executor).take(target.group, idle_max);
  }
  if (pooled) {
    target.state->reused.fetch_add(1, std::memory_order_relaxed);
    Try result = co_await exchange_on(std::move(pooled), job, target, head, true);
    if (!result.stale) co_return result;
  }
  co_return co_await try_fresh(job, target, std::move(head));
}

/// All tries on one target.
asio::awaitable<Try> try_target(Job& job, const Target& target) {
  Try result;
  const UpstreamOptions& options = job.snapshot->options();
  TargetState& state = *target.state;
  Result<std::string> head = make_request_head(target, job.request);
  if (!head) {
    result.error = head.error();
    co_return result;
  }
  state.requests.fetch_add(1, std::memory_order_relaxed);
  for (int attempt = 0;; ++attempt) {
    Permit permit(target.state);
    if (!permit.allowed()) {
      const int64_t wait_ms = state.breaker.wait_us(now_us()) / 1000;
      const std::string last = attempt > 0 ? "; the last failure: " + result.error.message : "";
      result = Try{};
      result.unsent = true;
      result.error = {ErrorCode::kUnavailable,
                      "upstream \"" + state.name + "\" (" + target.plan.url.host_and_port() +
                          ") is left alone after repeated failures; the next try is in " +
                          std::to_string(wait_ms) + " ms" + last};
      co_return result;
    }
    result = co_await try_once(job, target, *head);
    if (!result.answer && is_cancelled(result.error)) co_return result;
    if (!result.answer && job.source_failed) co_return result;
    if (result.answer && result.answer->status() < 500) {
      // 429 says that the upstream works, and nothing about whether it will go on to.
      permit.succeeded();
    } else {
      permit.failed();
    }
    if (result.error.code == ErrorCode::kDeadline) state.timeouts.fetch_add(1, std::memory_order_relaxed);
    const bool may_replay = job.replayable() && job.request.retry_allowed;
    std::optional<int64_t> delay_ms;
    if (result.answer) {
      if (may_replay) delay_ms = retry_delay_ms(*result.answer, options.retry_base_ms, attempt);
    } else if (result.may_repeat && ((result.unsent && !job.source_used) || may_replay)) {
      delay_ms = jitter_ms(options.retry_base_ms, attempt);
    }
    if (!delay_ms || attempt >= options.retries_max) co_return result;
    state.retries.fetch_add(1, std::memory_order_relaxed);
    const bool waited = co_await pause_for(*delay_ms);
    if (!waited) {
      result = Try{};
      result.error = {ErrorCode::kUnavailable, "cancelled"};
      co_return result;
    }
  }
}

asio::awaitable<Result<std::unique_ptr<UpstreamResponse>>> Client::send(UpstreamRequest request) {
  const auto self = shared_from_this();
  Job job;
  job.request = std::move(request);
  job.snapshot = snapshot();
  const std::vector<Target>& targets = job.snapshot->targets_for(job.request.model);
  std::string failures;
  for (size_t i = 0; i < targets.size(); ++i) {
    const Target& target = targets[i];
    Try result = co_await try_target(job, target);
    const bool has_next = i + 1 < targets.size();
    const bool may_move_on = has_next && (result.unsent || (job.replayable() && job.request.retry_allowed)) &&
                             !job.source_used && !is_cancelled(result.error);
    if (result.answer) {
      if (result.answer->status() >= 500) target.state->errors.fetch_add(1, std::memory_order_relaxed);
      if (result.answer->status() < 500 || !may_move_on) {
        std::unique_ptr<UpstreamResponse> response = std::move(result.answer);
        co_return response;
      }
      failures +=
          target.plan.url.host_and_port() + " answered " + std::to_string(result.answer->status()) + "; ";
      continue;
    }
    if (is_cancelled(result.error)) co_return fail(result.error);
    target.state->errors.fetch_add(1, std::memory_order_relaxed);
    const bool unusable = result.unsent || result.may_repeat;
    if (!may_move_on || !unusable) co_return fail(result.error.code, failures + result.error.message);
    failures += result.error.message + "; ";
  }
  co_return fail(ErrorCode::kUnavailable, failures);
}

Result<void> Client::set_options(UpstreamOptions options) {
  const auto previous = snapshot();
  auto next = UpstreamSnapshot::create(options, previous.get());
  if (!next) return fail(next.error());
  previous->retire(**next);
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(*next);
  return {};
}

std::map<std::string, UpstreamStats> Client::stats() const {
  std::map<std::string, UpstreamStats> all;
  const auto current = snapshot();
  for (const auto& [key, state] : current->states()) {
    UpstreamStats& stats = all[state->name];
    stats.requests += state->requests.load(std::memory_order_relaxed);
    stats.errors += state->errors.load(std::memory_order_relaxed);
    stats.retries += state->retries.load(std::memory_order_relaxed);
    stats.timeouts += state->timeouts.load(std::memory_order_relaxed);
    stats.connections_opened += state->opened.load(std::memory_order_relaxed);
    stats.connections_reused += state->reused.load(std::memory_order_relaxed);
    stats.breaker_state = std::max(stats.breaker_state, static_cast<int>(state->breaker.state()));
  }
  return all;
}

}  // namespace

Result<std::shared_ptr<UpstreamClient>> UpstreamClient::create(UpstreamOptions options) {
  auto snapshot = UpstreamSnapshot::create(options, nullptr);
  if (!snapshot) return fail(snapshot.error());
  std::shared_ptr<UpstreamClient> client = std::make_shared<Client>(std::move(*snapshot));
  return client;
}

}  // namespace enhanced_gptcache::http
