#include "proxy/session.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "proxy/flight_run.h"
#include "proxy/flight_table.h"
#include "proxy/forward.h"
#include "proxy/hit_delay.h"
#include "proxy/shadow_check.h"

namespace enhanced_gptcache::proxy {
namespace {

/// A JSON answer up to this size is sent whole; a larger one as it comes.
constexpr size_t kCollectBytesMax = 256 << 10;

/// Two requests share a flight only when every caller would be told the same: same tenant, same exact
/// key, same form, same rules for the look-up.
base::Hash128 flight_key(const Call& call) {
  const Controls& controls = call.controls;
  const std::string rules =
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}", call.body.stream, call.body.include_usage,
                  static_cast<int>(controls.type), controls.threshold.value_or(-1),
                  controls.age_max_ms.value_or(-1), controls.ttl_ms.value_or(-1), controls.no_store,
                  controls.only_if_cached, fmt::join(controls.tags, ","));
  const Prompt& prompt = call.prompt;
  return base::keyed_hash(call.services->instance_key, "flight",
                          {prompt.tenant, prompt.name_space, prompt.model, prompt.dialect, prompt.canonical,
                           prompt.user, controls.subject, controls.query, rules});
}

http::UpstreamRequest upstream_request(const Call& call, bool ask_usage) {
  const http::Request& from = call.exchange->request();
  http::UpstreamRequest request;
  ForwardRules rules;
  rules.keep_credentials = call.services->upstream->passes_caller_credential(call.body.model);
  rules.keep_conditions = false;
  rules.drop_authorization = call.own_authorization();
  request.path = upstream_path(from, rules.keep_credentials);
  request.model = call.body.model;
  request.headers = upstream_headers(from, rules);
  if (call.trace != nullptr) call.trace->pass_on(request.headers);
  // A compressed stream would be held back by the compressor; a whole answer is worth compressing.
  request.headers.push_back({"Accept-Encoding", call.body.stream ? "identity" : "gzip, deflate, br, zstd"});
  request.body = edit_body(from.body, {!call.body.cache.empty(), ask_usage});
  return request;
}

/// Whose data the answer is: of a token, always its own.
std::string subject_of(const Call& call) {
  const security::Identity* identity = call.identity();
  if (identity != nullptr && !identity->user.empty()) return identity->user;
  return call.controls.subject.empty() ? call.body.user : call.controls.subject;
}

FlightPlan make_plan(const Call& call) {
  FlightPlan plan;
  plan.options = call.options;
  if (call.exchange->pass != nullptr) plan.identity = call.exchange->pass->identity;
  plan.dialect = call.body.dialect;
  plan.prompt = call.prompt;
  plan.lookup = call.lookup;
  plan.look_up = call.outcome == Outcome::kMiss;
  plan.go_upstream = !call.controls.only_if_cached;
  plan.no_credential = missing_credential(*call.services, *call.options, call.body.model, call.has_secret);
  plan.first_reason = call.reason;
  plan.trace = call.trace;
  plan.learn = call.options->learn && call.outcome != Outcome::kBypass && !call.controls.no_store;
  plan.strip_usage = plan.learn && call.body.stream && !call.body.include_usage &&
                     call.options->ask_stream_usage && call.body.dialect != Dialect::kEmbeddings &&
                     !call.services->usage_refusals.contains(call.body.model);
  plan.request = upstream_request(call, plan.strip_usage);
  if (plan.strip_usage)
    plan.plain_body = edit_body(call.exchange->request().body, {!call.body.cache.empty(), false});
  plan.store.ttl_ms = call.controls.ttl_ms;
  plan.store.tags = call.controls.tags;
  plan.store.subject = subject_of(call);
  plan.judge = judge_request(*call.services, *call.options, call.exchange->request());
  plan.store.trusted = call.identity() == nullptr || call.identity()->is_trusted_writer();
  plan.store.principal = call.identity() == nullptr ? call.prompt.tenant : call.identity()->id;
  return plan;
}

/// The answer has been sent; a share of semantic hits is looked at again.
void offer_shadow_check(const Call& call, const Lookup& hit) {
  const ProxyOptions& options = *call.options;
  if (hit.layer != Layer::kSemantic || !is_sampled(options.shadow_check_share)) return;
  if (missing_credential(*call.services, options, call.body.model, call.has_secret)) return;
  ShadowCheck check;
  check.tenant = call.prompt.tenant;
  check.request_id = hit.request_id;
  check.question = call.prompt.query;
  check.served = hit.entry->text();
  check.dialect = call.body.dialect;
  check.answer_bytes_max = options.learn_bytes_max;
  // With the caller's traceparent, because this request's own trace is over.
  check.request = upstream_request(call, false);
  check.request.retry_allowed = false;
  check.judge = judge_request(*call.services, options, call.exchange->request());
  start_shadow_check(call.services, call.exchange->executor(), options.shadow_checks_max, std::move(check));
}

/// To shed load and then to ask again for everybody who waited would shed nothing.
bool is_worth_retrying(const ApiError& error) {
  return error.status >= 500 && !is_embedder_overloaded(error);
}

/// The caller's coroutine.
class Session {
 public:
  explicit Session(CallPtr call) : call_(std::move(call)), exchange_(*call_->exchange) {}

  asio::awaitable<void> run() {
    for (int attempt = 0;; ++attempt) {
      take_seat();
      const bool may_retry = attempt == 0 && !seat_.leads;
      const bool retry = co_await watch(may_retry);
      seat_.flight->leave(seat_.watcher);
      if (!retry) co_return;
      // The shared call failed before this caller got a byte: once more, alone or with the others.
      body_.clear();
    }
  }

 private:
  using Event = Flight::Event;

  void take_seat() {
    const ProxyOptions& options = *call_->options;
    FlightLimits limits;
    limits.finish_unwatched = options.single_flight_finish;
    // Who joins a call under way gets its answer early.
    const bool shared = options.single_flight && call_->outcome == Outcome::kMiss && !call_->is_padded;
    seat_ = shared ? call_->services->flights->take_seat(flight_key(*call_), exchange_.executor(), limits)
                   : FlightTable::own_flight(exchange_.executor(), limits);
    call_->joined = !seat_.leads;
    if (seat_.leads) launch(call_->services, seat_.flight, make_plan(*call_));
    exchange_.on_client_gone([flight = std::weak_ptr(seat_.flight), watcher = std::weak_ptr(seat_.watcher)] {
      const auto gone_from = flight.lock();
      const auto who = watcher.lock();
      if (gone_from && who) gone_from->leave(who);
    });
  }

  /// True: try again.
  asio::awaitable<bool> watch(bool may_retry) {
    for (;;) {
      const Flight::Progress progress = co_await seat_.flight->next(seat_.watcher);
      switch (progress.event) {
        case Event::kHit:
          if (reply_hit(call_, seat_.flight->hit())) {
            offer_shadow_check(*call_, seat_.flight->hit());
            co_return false;
          }
          go_past_cache();
          co_return true;
        case Event::kHead:
          if (may_retry && seat_.flight->head().status >= 500) co_return true;
          take_head();
          break;
        case Event::kPieces:
          if (!co_await pass_on(progress.pieces)) co_return false;
          break;
        case Event::kComplete:
          co_await finish();
          co_return false;
        case Event::kFailed:
          if (may_retry && !started_ && is_worth_retrying(seat_.flight->error())) co_return true;
          cut(seat_.flight->error());
          co_return false;
        case Event::kLeft:
          exchange_.abort();
          account(*call_, 499);
          co_return false;
      }
    }
  }

  /// An entry that cannot be rendered must not be found again by the same request.
  void go_past_cache() {
    call_->outcome = Outcome::kRefresh;
    call_->reason = "not_servable";
  }

  void take_head() {
    const FlightHead& head = seat_.flight->head();
    if (call_->outcome == Outcome::kMiss) {
      call_->reason = call_->joined ? "joined" : head.miss_reason;
      call_->detail = head.miss_detail;
      if (!head.request_id.empty() && !call_->joined) call_->request_id = head.request_id;
    }
    if (call_->is_padded && head.status == 200 && head.event_stream == call_->body.stream) {
      headers_ = padded_headers(*call_);
      return;
    }
    headers_ = head.headers;
    add_cache_headers(*call_, headers_);
  }

  asio::awaitable<bool> start() {
    started_ = true;
    mark_first_byte(*call_);
    co_return co_await exchange_.start(seat_.flight->head().status, std::move(headers_));
  }

  asio::awaitable<bool> pass_on(const std::vector<Flight::Piece>& pieces) {
    for (const Flight::Piece& piece : pieces) body_ += *piece;
    const bool collect = !seat_.flight->head().event_stream && body_.size() <= kCollectBytesMax;
    if (!started_ && collect) co_return true;
    if (!started_ && !co_await start()) co_return client_left();
    std::string bytes;
    bytes.swap(body_);
    if (!co_await exchange_.write(std::move(bytes))) co_return client_left();
    co_return true;
  }

  bool client_left() {
    account(*call_, 499);
    return false;
  }

  asio::awaitable<void> finish() {
    const int status = seat_.flight->head().status;
    const TokenCount tokens = seat_.flight->tokens_spent();
    note_tokens(*call_, tokens.prompt, tokens.completion);
    const TokenCount spent = call_->joined ? TokenCount() : tokens;
    if (!started_) {
      http::Response response;
      response.status = status;
      response.headers = std::move(headers_);
      response.body = std::move(body_);
      mark_first_byte(*call_);
      account(*call_, status, {}, {}, spent);
      exchange_.send(std::move(response));
      co_return;
    }
    account(*call_, status, {}, {}, spent);
    co_await exchange_.finish();
  }

  void cut(const ApiError& error) {
    if (started_) {
      account(*call_, 502);
      exchange_.abort();
      return;
    }
    if (error.code == "not_cached")
      call_->reason = "only_if_cached";
    else if (error.code == "missing_api_key")
      call_->reason = "no_upstream_key";
    else if (is_embedder_overloaded(error))
      call_->reason = error.code;
    else if (call_->outcome == Outcome::kMiss)
      call_->reason = "upstream_error";
    reply_error(*call_, error);
  }

  const CallPtr call_;
  http::Exchange& exchange_;
  FlightTable::Seat seat_;
  http::Headers headers_;
  std::string body_;
  bool started_ = false;
};

asio::awaitable<void> run_session(CallPtr call) {
  Session session(std::move(call));
  co_await session.run();
}

}  // namespace

void start_session(CallPtr call) {
  const auto executor = call->exchange->executor();
  asio::co_spawn(executor, run_session(call), [call](const std::exception_ptr& thrown) {
    if (thrown == nullptr) return;
    base::log_error("a request ended by an exception; its connection is closed");
    account(*call, 500);
    call->exchange->abort();
  });
}

std::optional<ApiError> missing_credential(const Services& services, const ProxyOptions& options,
                                           std::string_view model, bool has_secret) {
  if (has_secret || !options.upstream_is_default || !services.upstream->passes_caller_credential(model))
    return std::nullopt;
  ApiError error;
  error.status = 401;
  error.code = "missing_api_key";
  error.message =
      "There is no key for the provider: send 'Authorization: Bearer <key>', or set upstream.api_key "
      "(EGPTC_UPSTREAM__API_KEY), or point upstream.base_url (EGPTC_UPSTREAM__BASE_URL) at a server that "
      "needs "
      "none. The native API (/cache/lookup, /cache/entries) and /v1/embeddings of all-MiniLM-L6-v2 work "
      "without.";
  return error;
}

}  // namespace enhanced_gptcache::proxy
