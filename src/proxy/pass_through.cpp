#include "proxy/pass_through.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <mutex>

#include "base/canonical_json.h"
#include "base/error_table.h"
#include "base/log.h"
#include "proxy/forward.h"
#include "proxy/session.h"

namespace enhanced_gptcache::proxy {

namespace asio = boost::asio;

namespace {

bool wants_websocket(const http::Request& request) {
  return equals_ignoring_case(request.header("upgrade"), "websocket");
}

bool has_body(const http::Request& request) {
  const std::string_view length = request.header("content-length");
  return request.has("transfer-encoding") || (!length.empty() && length != "0");
}

std::optional<uint64_t> content_length(const http::Request& request) {
  const std::string_view text = request.header("content-length");
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return length;
}

http::UpstreamRequest build_request(const Call& call, const PassThrough& how, const ForwardRules& rules) {
  const http::ExchangePtr& exchange = call.exchange;
  const http::Request& from = exchange->request();
  http::UpstreamRequest request;
  request.method = from.method;
  request.path = upstream_path(from, rules.keep_credentials);
  request.from_root = !from.path.starts_with("/v1");
  request.model = how.model;
  request.headers = upstream_headers(from, rules);
  if (call.trace != nullptr) call.trace->pass_on(request.headers);
  // Only what may safely be asked twice is retried by us; uploads and actions are the caller's to repeat.
  request.retry_allowed = from.method == "GET" || from.method == "HEAD" || how.buffered;
  if (how.buffered) {
    request.body = from.body;
  } else if (has_body(from)) {
    request.body_source = [exchange] { return exchange->read_body(); };
    request.body_length = content_length(from);
  }
  return request;
}

/// Raw bytes both ways until either side closes.
asio::awaitable<void> tunnel(http::ExchangePtr exchange, http::UpstreamResponse& response) {
  const auto upwards = [exchange, &response]() -> asio::awaitable<void> {
    for (;;) {
      auto bytes = co_await exchange->read_raw();
      if (!bytes || bytes->empty() || !co_await response.write_raw(std::move(*bytes))) co_return;
    }
  };
  const auto downwards = [exchange, &response]() -> asio::awaitable<void> {
    for (;;) {
      auto bytes = co_await response.read_raw();
      if (!bytes || bytes->empty() || !co_await exchange->write_raw(std::move(*bytes))) co_return;
    }
  };
  using namespace asio::experimental::awaitable_operators;
  co_await (upwards() || downwards());
  exchange->abort();
}

/// Ends the call when the client leaves, wherever it is: before the provider has answered by cancelling the
/// coroutine, afterwards by cancelling the response. Shared with a callback that may outlive the call.
class Hangup : public std::enable_shared_from_this<Hangup> {
 public:
  explicit Hangup(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  auto slot() { return signal_.slot(); }
  void set(http::UpstreamResponse* to) {
    const std::lock_guard lock(mutex_);
    response_ = to;
  }
  void cancel() {
    {
      const std::lock_guard lock(mutex_);
      if (response_ != nullptr) response_->cancel();
    }
    // Posted: the coroutine that is to be cancelled may be what runs right now.
    asio::post(executor_,
               [self = shared_from_this()] { self->signal_.emit(asio::cancellation_type::terminal); });
  }

 private:
  const asio::any_io_executor executor_;
  asio::cancellation_signal signal_;  // on the executor only
  std::mutex mutex_;
  http::UpstreamResponse* response_ = nullptr;  // guarded by mutex_
};
using HangupPtr = std::shared_ptr<Hangup>;

asio::awaitable<void> relay(CallPtr call, http::UpstreamResponse& response, const ForwardRules& rules) {
  http::Exchange& exchange = *call->exchange;
  http::Headers headers = caller_headers(response.headers(), rules);
  // Hop by hop, so the client of the provider took it off; our own hop is upgraded the same way.
  if (response.status() == 101 && http::find_header(headers, "Connection") == nullptr)
    headers.push_back({"Connection", "Upgrade"});
  add_cache_headers(*call, headers);
  mark_first_byte(*call);
  account(*call, response.status());
  if (!co_await exchange.start(response.status(), std::move(headers))) co_return;
  if (response.status() == 101) {
    co_await tunnel(call->exchange, response);
    co_return;
  }
  for (;;) {
    auto piece = co_await response.read();
    if (!piece) {
      call->services->observer.on_upstream_error("cut");
      exchange.abort();
      co_return;
    }
    if (piece->empty()) break;
    if (!co_await exchange.write(std::move(*piece))) co_return;
  }
  co_await exchange.finish();
}

asio::awaitable<void> pass_through(CallPtr call, PassThrough how, HangupPtr hangup) {
  Services& services = *call->services;
  const http::Request& from = call->exchange->request();
  ForwardRules rules;
  rules.keep_encoding = true;
  rules.keep_credentials = services.upstream->passes_caller_credential(how.model);
  rules.keep_cookies = rules.keep_credentials;
  rules.drop_authorization = call->own_authorization();
  rules.upgrade = wants_websocket(from);
  if (auto missing = missing_credential(services, *call->options, how.model, call->has_secret)) {
    call->reason = "no_upstream_key";
    reply_error(*call, *missing);
    co_return;
  }
  TimedSpan span(call->trace, "upstream", Span::Kind::kClient);
  auto sent = co_await services.upstream->send(build_request(*call, how, rules));
  if (!sent) {
    span.fail();
    services.observer.on_upstream_error(base::error_row(sent.error().code).label);
    reply_error(*call, from_upstream(sent.error(), call->options->breaker_open_ms));
    co_return;
  }
  const std::unique_ptr<http::UpstreamResponse> response = std::move(*sent);
  struct Shown {
    Hangup& hangup;
    Shown(Hangup& to, http::UpstreamResponse* shown) : hangup(to) { hangup.set(shown); }
    ~Shown() { hangup.set(nullptr); }
  } const shown(*hangup, response.get());
  note_answer(span, *response);
  if (call->exchange->client_gone()) co_return;
  co_await relay(call, *response, rules);
}

}  // namespace

void start_pass_through(CallPtr call, PassThrough how) {
  call->outcome = Outcome::kBypass;
  if (call->reason.empty()) call->reason = how.buffered ? "uncached_dialect" : "uncached_path";
  const auto executor = call->exchange->executor();
  const auto hangup = std::make_shared<Hangup>(executor);
  const auto ended = [call, hangup](const std::exception_ptr& thrown) {
    if (thrown != nullptr) {
      // Asio throws into a coroutine that is cancelled because its client has left.
      if (!call->exchange->client_gone())
        base::log_error("a forwarded request ended by an exception; its connection is closed");
      call->exchange->abort();
    }
    account(*call, 499);
  };
  asio::co_spawn(executor, pass_through(call, std::move(how), hangup),
                 asio::bind_cancellation_slot(hangup->slot(), ended));
  call->exchange->on_client_gone([hangup] { hangup->cancel(); });
}

void reply_local_models(Call& call) {
  http::Response response;
  response.headers.push_back({"Content-Type", "application/json"});
  std::string entry;
  if (call.services->embedder != nullptr)
    entry = R"({"id":)" + base::json_string(call.options->embedding_model) +
            R"(,"object":"model","created":0,"owned_by":"enhanced-gptcache"})";
  response.body = R"({"object":"list","data":[)" + entry + "]}";
  call.outcome = Outcome::kBypass;
  call.reason = "local_model";
  add_cache_headers(call, response.headers);
  mark_first_byte(call);
  account(call, 200);
  call.exchange->send(std::move(response));
}

}  // namespace enhanced_gptcache::proxy
