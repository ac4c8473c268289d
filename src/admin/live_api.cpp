#include "admin/live_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>
#include <map>
#include <mutex>

#include "admin/replies.h"
#include "base/canonical_json.h"
#include "base/clock.h"
#include "base/request_fields.h"
#include "security/identity.h"

namespace enhanced_gptcache::admin {
namespace {

namespace asio = boost::asio;
using http::ExchangePtr;
using std::chrono::milliseconds;

constexpr size_t kNameBytesMax = 256;
/// While it waits for the next event a stream looks so often whether it is to end.
constexpr int64_t kLookMs = 250;
/// How old figures may be that another stream asked for: below the shortest interval between two events.
constexpr int64_t kSharedUs = 150'000;
constexpr int64_t kPollMs = 5, kPatienceMs = 5000;

std::string decoded(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return base::repair_utf8(base::percent_decoded(spaced));
}

Result<uint64_t> read_number(std::string_view name, std::string_view text, uint64_t low, uint64_t high) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= low && value <= high) return value;
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: is {}, the allowed range is {} to {}", name,
                          base::json_string(base::repair_utf8(text.substr(0, 64))), low, high));
}

/// Calls take(name, value) for each parameter; false: it knows no such parameter.
template <typename Take>
Result<void> read_parameters(std::string_view query, std::string_view known, Take take) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    Result<bool> taken = take(name, pair.substr(std::min(pair.size(), equals + 1)));
    if (!taken) return fail(taken.error());
    if (!*taken && !base::is_credential_parameter(std::string(name)))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{}: unknown parameter; known are {}",
                              base::json_string(base::repair_utf8(name.substr(0, 64))), known));
  }
  return {};
}

Result<std::string> read_name(std::string_view name, std::string_view text) {
  if (text.size() <= 3 * kNameBytesMax) {
    std::string value = decoded(text);
    if (value.size() <= kNameBytesMax) return value;
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("{}: is longer than {} bytes", name, kNameBytesMax));
}

}  // namespace

Result<StreamWish> read_stream_wish(std::string_view query) {
  StreamWish wish;
  const auto take = [&wish](std::string_view name, std::string_view value) -> Result<bool> {
    if (name == "interval_ms") {
      EGPTC_TRY(const uint64_t number, read_number(name, value, 200, 10'000));
      wish.interval_ms = static_cast<int64_t>(number);
    } else if (name == "count") {
      EGPTC_TRY(wish.count, read_number(name, value, 0, 1'000'000));
    } else {
      return false;
    }
    return true;
  };
  EGPTC_TRY_VOID(read_parameters(query, "interval_ms and count", take));
  return wish;
}

Result<TauQuestion> read_tau_question(std::string_view query) {
  TauQuestion question;
  const auto take = [&question](std::string_view name, std::string_view value) -> Result<bool> {
    if (name == "limit") {
      EGPTC_TRY(const uint64_t number, read_number(name, value, 1, 1000));
      question.limit = static_cast<size_t>(number);
    } else if (name == "user") {
      EGPTC_TRY(question.user, read_name(name, value));
    } else if (name == "tenant") {
      EGPTC_TRY(question.tenant, read_name(name, value));
    } else {
      return false;
    }
    return true;
  };
  EGPTC_TRY_VOID(read_parameters(query, "limit, user and tenant", take));
  return question;
}

namespace {

/// Whether somebody has a tau at all is nobody's business in another tenant, unless it is an admin's.
bool may_ask(const http::Exchange& exchange, const TauQuestion& question) {
  const security::Identity* who = exchange.pass == nullptr ? nullptr : exchange.pass->identity.get();
  return who == nullptr || question.tenant.empty() || who->role == security::Role::kAdmin ||
         security::tenant_of_name(question.tenant) == who->tenant;
}

}  // namespace

struct LiveApi::State {
  explicit State(LiveHooks its_hooks) : hooks(std::move(its_hooks)) {}

  using Text = std::shared_ptr<const std::string>;

  LiveHooks hooks;
  std::mutex mutex;
  size_t streams = 0;                       // guarded by mutex
  std::map<std::string, size_t> by_caller;  // guarded by mutex; no zeros; who is not known is not in it
  Text newest;                              // guarded by mutex; null: none, or making it failed
  int64_t begun_us = 0;                     // guarded by mutex; when making the newest began
  bool is_being_made = false;               // guarded by mutex

  /// While it lives, a set of figures is being made; also when making it fails.
  struct Making {
    explicit Making(std::shared_ptr<State> its_state) : state(std::move(its_state)) {}
    ~Making() {
      const std::lock_guard lock(state->mutex);
      state->is_being_made = false;
    }
    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;
    void run() const {
      auto text = std::make_shared<const std::string>(state->hooks.live_json());
      const std::lock_guard lock(state->mutex);
      state->newest = std::move(text);
    }
    const std::shared_ptr<State> state;
  };
  struct Step {
    Text text;  ///< null: come again
    bool is_refused = false;
  };
  static Step take_or_make(const std::shared_ptr<State>& state, int64_t not_before_us) {
    {
      const std::lock_guard lock(state->mutex);
      if (state->is_being_made) return {};
      if (state->begun_us >= not_before_us) return {state->newest, state->newest == nullptr};
      state->newest = nullptr;
      state->begun_us = base::system_clock().mono_us();
      state->is_being_made = true;
    }
    const auto making = std::make_shared<const Making>(state);
    return {nullptr, !state->hooks.offload([making] { making->run(); })};
  }

  /// One of kStreamsMax places, given back when the coroutine ends, however it does.
  struct Place {
    Place(std::shared_ptr<State> its_state, std::string its_caller)
        : state(std::move(its_state)), caller(std::move(its_caller)) {}
    ~Place() {
      const std::lock_guard lock(state->mutex);
      --state->streams;
      const auto mine = state->by_caller.find(caller);
      if (mine != state->by_caller.end() && --mine->second == 0) state->by_caller.erase(mine);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    const std::shared_ptr<State> state;
    const std::string caller;  ///< empty: security is off
  };
  using PlacePtr = std::shared_ptr<Place>;
  /// Null: `refused` says why.
  static PlacePtr take_place(const std::shared_ptr<State>& state, const http::Exchange& exchange,
                             http::Response& refused) {
    const security::Identity* who = exchange.pass == nullptr ? nullptr : exchange.pass->identity.get();
    std::string caller = who == nullptr ? std::string() : who->id;
    const std::lock_guard lock(state->mutex);
    if (state->streams >= kStreamsMax) {
      refused = refusal(503, fmt::format("{} streams of events are open, which is the limit", kStreamsMax));
      return nullptr;
    }
    if (who != nullptr) {
      size_t& held = state->by_caller[caller];
      if (held >= kStreamsPerCallerMax) {
        refused = refusal(429, fmt::format("{} streams of events are open for this key, which is the limit",
                                           kStreamsPerCallerMax));
        return nullptr;
      }
      ++held;
    }
    ++state->streams;
    return std::make_shared<Place>(state, std::move(caller));
  }

  /// The figures as of `not_before_us` or later; null: the pool is busy. However many streams there are, one
  /// set is made at a time, so that they cannot crowd the pool, which also answers /health.
  static asio::awaitable<Text> figures(std::shared_ptr<State> state, int64_t not_before_us) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (int64_t waited_ms = 0; waited_ms < kPatienceMs; waited_ms += kPollMs) {
      const Step step = take_or_make(state, not_before_us);
      if (step.text != nullptr || step.is_refused) co_return step.text;
      timer.expires_after(milliseconds(kPollMs));
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return nullptr;
  }

  /// False: it is time to end.
  asio::awaitable<bool> wait(const ExchangePtr& exchange, int64_t interval_ms) const {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (interval_ms > 0 && hooks.ready() && !exchange->client_gone()) {
      const int64_t step_ms = std::min(interval_ms, kLookMs);
      interval_ms -= step_ms;
      timer.expires_after(milliseconds(step_ms));
      co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return hooks.ready() && !exchange->client_gone();
  }

  /// A key that was revoked, or a token that has expired, must not go on seeing.
  bool may_go_on(const http::Exchange& exchange, int64_t begun_us) const {
    const int64_t lived_us = base::system_clock().mono_us() - begun_us;
    return lived_us < hooks.stream_life_ms * 1000 &&
           (!hooks.still_admitted || hooks.still_admitted(exchange));
  }

  asio::awaitable<void> stream(ExchangePtr exchange, PlacePtr place, StreamWish wish) const {
    http::Headers headers;
    headers.push_back({"Content-Type", "text/event-stream"});
    headers.push_back({"Cache-Control", "no-store"});
    headers.push_back({"X-Accel-Buffering", "no"});  // nginx in front would hold events back
    const int64_t begun_us = base::system_clock().mono_us();
    bool goes_on = co_await exchange->start(200, std::move(headers));
    for (uint64_t sent = 0; goes_on && (wish.count == 0 || sent < wish.count); ++sent) {
      if (sent > 0) {
        goes_on = co_await wait(exchange, wish.interval_ms);
        if (!goes_on || !may_go_on(*exchange, begun_us)) break;
      }
      // The first event knows what the caller has seen happen; later ones may be shared with other streams.
      const int64_t now_us = base::system_clock().mono_us();
      const Text text = co_await figures(place->state, sent == 0 ? now_us : now_us - kSharedUs);
      std::string event = text != nullptr ? "event: stats\ndata: " + *text + "\n\n" : ": busy\n\n";
      goes_on = co_await exchange->write(std::move(event));
    }
    co_await exchange->finish();
  }
};

LiveApi::LiveApi(LiveHooks hooks) : state_(std::make_shared<State>(std::move(hooks))) {}

void LiveApi::register_routes(http::Server& server) {
  server.route("GET", "/admin/events", [state = state_](const ExchangePtr& exchange) {
    exchange->notes.route = "/admin/events";
    const auto wish = read_stream_wish(exchange->request().query);
    if (!wish) return exchange->send(refusal(wish.error()));
    http::Response refused;
    State::PlacePtr place = State::take_place(state, *exchange, refused);
    if (place == nullptr) return exchange->send(std::move(refused));
    asio::co_spawn(exchange->executor(), state->stream(exchange, std::move(place), *wish), asio::detached);
  });
  server.route("GET", "/admin/tau", [state = state_](const ExchangePtr& exchange) {
    exchange->notes.route = "/admin/tau";
    auto question = read_tau_question(exchange->request().query);
    if (!question) return exchange->send(refusal(question.error()));
    if (!may_ask(*exchange, *question)) {
      exchange->notes.refused = true;
      return exchange->send(refusal(403, "tenant: only admins ask about users of other tenants"));
    }
    const bool taken = state->hooks.offload([state, exchange, question = std::move(*question)] {
      exchange->send(reply(200, state->hooks.tau_json(*exchange, question)));
    });
    if (!taken)
      exchange->send(refusal(503, "too many administrative calls are waiting; try again in a second"));
  });
}

}  // namespace enhanced_gptcache::admin
