#include "proxy/flight_run.h"

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/error_table.h"
#include "base/log.h"
#include "proxy/answer_reader.h"
#include "proxy/await_callback.h"
#include "proxy/forward.h"
#include "proxy/shadow_check.h"

namespace enhanced_gptcache::proxy {
namespace {

/// An error answer is read whole, because one that is no JSON is put into OpenAI's form. No provider sends
/// one nearly as large; a larger one is not cut short but replaced by an error that says so.
constexpr size_t kErrorBytesMax = size_t{1} << 20U;
constexpr int64_t kStoreTimeoutMs = 2000;

std::string miss_reason(const Lookup& lookup) {
  std::string reason(to_string(lookup.reason));
  if (lookup.reason == MissReason::kGuard && !lookup.detail.empty()) reason += ":" + lookup.detail;
  return reason;
}

/// Lets the flight cancel the response for as long as it lives, exceptions included.
class ResponseShown {
 public:
  ResponseShown(Flight& flight, http::UpstreamResponse* response) : flight_(flight) {
    flight_.set_response(response);
  }
  ~ResponseShown() { flight_.set_response(nullptr); }
  ResponseShown(const ResponseShown&) = delete;
  ResponseShown& operator=(const ResponseShown&) = delete;

 private:
  Flight& flight_;
};

/// The coroutine's state. One object per flight, owned by its coroutine.
class FlightRun {
 public:
  FlightRun(ServicesPtr services, FlightPtr flight, FlightPlan plan)
      : services_(std::move(services)), flight_(std::move(flight)), plan_(std::move(plan)) {}

  asio::awaitable<void> run() {
    head_.miss_reason = plan_.first_reason;
    began_us_ = now_us();
    generation_ = services_->cache.generation();
    if (plan_.look_up && co_await look_up()) co_return;
    if (!plan_.go_upstream) {
      ApiError error;
      error.status = 504;
      error.code = "not_cached";
      error.message = "The answer is not in the cache, and only-if-cached was asked for.";
      flight_->fail(std::move(error));
      co_return;
    }
    if (plan_.no_credential) {
      flight_->fail(std::move(*plan_.no_credential));
      co_return;
    }
    co_await ask_upstream();
  }

 private:
  int64_t now_us() const { return services_->clock.mono_us(); }

  /// True when there is nothing more to do: the cache answered, or nobody waits. Another request with this
  /// key may have been learned since its caller looked, so the exact layer is asked once more.
  asio::awaitable<bool> look_up() {
    const int64_t began_us = now_us();
    if (plan_.lookup.exact) {
      LookupOptions again = plan_.lookup;
      again.counted = false;
      EntryPtr entry = services_->cache.find_exact(plan_.prompt, again);
      if (entry != nullptr && is_servable(*entry, plan_.dialect)) {
        Lookup hit;
        hit.entry = std::move(entry);
        hit.similarity = hit.probability = 1.0;
        flight_->publish_hit(std::move(hit));
        co_return true;
      }
    }
    LookupOptions options = plan_.lookup;
    options.exact = false;  // that attempt was made, and counted, by the caller
    if (!options.semantic) co_return false;
    const int64_t traced_us = plan_.trace == nullptr ? 0 : plan_.trace->now_us();
    // Shared, because a look-up that is given up may end later.
    const auto times = plan_.trace == nullptr ? nullptr : std::make_shared<cache::LookupTimes>();
    auto found = co_await await_callback<Lookup>(
        plan_.options->lookup_timeout_ms, [this, &options, &times](EnhancedCache::LookupCallback done) {
          if (times != nullptr)
            done = [times, then = std::move(done)](Result<Lookup> lookup) {
              *times = cache::times_of_lookup();
              then(std::move(lookup));
            };
          services_->cache.lookup_async(plan_.prompt, options, std::move(done));
        });
    services_->observer.on_stage(Stage::kLookup, now_us() - began_us);
    // Nobody waits any more: the look-up was cut short, which is no failure of the cache.
    if (!found && flight_->is_abandoned()) co_return true;
    if (!found) {
      fail_open(*services_, Stage::kLookup, found.error());
      head_.miss_reason = "cache_error";
      co_return false;
    }
    services_->observer.on_lookup(*found);
    if (plan_.trace != nullptr) add_lookup(*plan_.trace, traced_us, *found, *times);
    if (services_->watch != nullptr && plan_.identity != nullptr)
      services_->watch->saw_lookup(*plan_.identity, found->entry != nullptr,
                                   found->nearest ? found->nearest->similarity : 0);
    if (found->entry != nullptr && is_servable(*found->entry, plan_.dialect)) {
      flight_->publish_hit(std::move(*found));
      co_return true;
    }
    if (found->reason == MissReason::kOverloaded && found->entry == nullptr && plan_.options->shed_overload) {
      flight_->fail(embedder_overloaded());
      co_return true;
    }
    head_.miss_reason = found->entry != nullptr ? "not_servable" : miss_reason(*found);
    head_.miss_detail = found->detail;
    head_.request_id = found->request_id;
    plan_.store.embedding = found->embedding;
    plan_.store.request_id = found->request_id;
    if (found->reason == MissReason::kShadow && found->nearest)
      withheld_ = std::move(found->nearest->entry_id);
    co_return false;
  }

  using Response = std::unique_ptr<http::UpstreamResponse>;

  void report_failure(const Error& error) {
    services_->observer.on_upstream_error(base::error_row(error.code).label);
    flight_->fail(from_upstream(error, plan_.options->breaker_open_ms));
  }

  /// The body of an error answer. kUpstream: larger than kErrorBytesMax.
  asio::awaitable<Result<std::string>> read_error(http::UpstreamResponse& response) {
    std::string body;
    for (;;) {
      auto piece = co_await response.read_decoded();
      if (!piece) co_return fail(std::move(piece).error());
      if (piece->empty()) co_return body;
      body += *piece;
      if (body.size() > kErrorBytesMax)
        co_return fail(ErrorCode::kUpstream,
                       fmt::format("its error answer (status {}) is larger than {} bytes, the most that is "
                                   "passed on",
                                   response.status(), kErrorBytesMax));
    }
  }

  /// Sends; when a provider does not know stream_options, once more without those we added.
  asio::awaitable<Result<Response>> send() {
    http::UpstreamRequest request = plan_.request;
    auto sent = co_await services_->upstream->send(std::move(request));
    if (!sent || !plan_.strip_usage || ((*sent)->status() != 400 && (*sent)->status() != 422)) co_return sent;
    auto body = co_await read_error(**sent);
    if (!body) co_return fail(std::move(body).error());
    const bool about_usage =
        body->find("stream_options") != std::string::npos || body->find("include_usage") != std::string::npos;
    if (!about_usage) {
      error_body_ = std::move(*body);
      co_return sent;
    }
    services_->usage_refusals.add(plan_.request.model);
    plan_.request.body = plan_.plain_body;
    plan_.strip_usage = false;
    sent->reset();
    request = plan_.request;
    co_return co_await services_->upstream->send(std::move(request));
  }

  asio::awaitable<void> ask_upstream() {
    const int64_t began_us = now_us();
    TimedSpan span(plan_.trace, "upstream", Span::Kind::kClient);
    auto sent = co_await send();
    if (!sent) {
      span.fail();
      report_failure(sent.error());
      co_return;
    }
    const Response response = std::move(*sent);
    const ResponseShown shown(*flight_, response.get());
    services_->observer.on_stage(Stage::kUpstreamHead, now_us() - began_us);
    span.note("egptc.first_byte_ms", static_cast<double>(now_us() - began_us) / 1000.0);
    const std::string* type = http::find_header(response->headers(), "content-type");
    const std::string media = type == nullptr ? std::string() : *type;
    head_.status = response->status();
    note_answer(span, *response);
    head_.event_stream = is_media_type(media, "text/event-stream");
    head_.headers = caller_headers(response->headers(), {});
    const bool ok = head_.status >= 200 && head_.status < 300;
    if (!ok)
      services_->observer.on_upstream_error(head_.status == 429   ? "status_429"
                                            : head_.status >= 500 ? "status_5xx"
                                                                  : "status_4xx");
    if (!ok && !head_.event_stream)
      co_await pass_error(*response, is_media_type(media, "application/json"));
    else
      co_await pass_answer(*response, ok, began_us);
  }

  /// Small, so it is read whole; what is no JSON gets OpenAI's form with the status kept.
  asio::awaitable<void> pass_error(http::UpstreamResponse& response, bool is_json) {
    if (plan_.learn) services_->observer.on_learn("status");
    Result<std::string> read = std::string();
    if (error_body_)
      read = std::move(*error_body_);
    else
      read = co_await read_error(response);
    if (!read) {
      report_failure(read.error());
      co_return;
    }
    std::string body = std::move(*read);
    if (!is_json) {
      ApiError error;
      error.status = head_.status;
      error.code = "upstream_error";
      error.message = fmt::format("The upstream answered {} with a body that is not JSON: {}", head_.status,
                                  body.substr(0, 200));
      body = error_body(error);
      std::erase_if(head_.headers, [](const http::Header& header) {
        return equals_ignoring_case(header.name, "content-type");
      });
      head_.headers.push_back({"Content-Type", "application/json"});
    }
    flight_->publish_head(std::move(head_));
    co_await flight_->publish(std::move(body));
    flight_->complete({});
  }

  asio::awaitable<void> pass_answer(http::UpstreamResponse& response, bool ok, int64_t began_us) {
    AnswerReader reader({plan_.dialect, head_.event_stream, plan_.strip_usage && head_.event_stream,
                         ok && plan_.learn, plan_.options->learn_bytes_max});
    flight_->publish_head(std::move(head_));
    bool learned = false;
    for (;;) {
      auto piece = co_await response.read_decoded();
      // After [DONE] nothing is missing, however the connection ends.
      if (!piece && reader.is_terminated()) break;
      if (!piece) {
        if (plan_.learn && ok && !learned) services_->observer.on_learn("cut");
        services_->observer.on_upstream_error("cut");
        flight_->fail(from_upstream(piece.error(), plan_.options->breaker_open_ms));
        co_return;
      }
      const bool end = piece->empty();
      std::string out = end ? reader.finish() : reader.feed(std::move(*piece));
      if (ok && !learned && (end || reader.is_terminated())) {
        learned = true;
        co_await learn(reader);
      }
      if (!out.empty() && !co_await flight_->publish(std::move(out))) co_return;
      if (end) break;
    }
    services_->observer.on_stage(Stage::kUpstreamBody, now_us() - began_us);
    flight_->complete(reader.tokens_spent());
  }

  /// Shadow mode kept a hit back: now there is an answer to hold it against, at no cost.
  void check_withheld(const Answer& answer) {
    if (withheld_.empty() || answer.has_tool_calls || answer.text.empty()) return;
    const EntryPtr entry = services_->cache.get(plan_.prompt.tenant, withheld_);
    if (entry == nullptr) return;
    ShadowCheck check;
    check.tenant = plan_.prompt.tenant;
    check.request_id = plan_.store.request_id;
    check.question = plan_.prompt.query;
    check.served = entry->text();
    check.fresh = answer.text;
    check.judge = std::move(plan_.judge);
    start_shadow_check(services_, flight_->leader(), plan_.options->shadow_checks_max, std::move(check));
  }

  asio::awaitable<void> learn(AnswerReader& reader) {
    auto answer = reader.take_answer();
    if (!plan_.learn) co_return;
    if (!answer) {
      services_->observer.on_learn(answer.error().message);
      co_return;
    }
    check_withheld(*answer);
    if (services_->watch != nullptr && plan_.identity != nullptr &&
        !services_->watch->may_insert(*plan_.identity, 1)) {
      services_->observer.on_learn("insert_rate");
      co_return;
    }
    StoreRequest store = std::move(plan_.store);
    store.prompt = plan_.prompt;
    store.generation = generation_;
    store.write_behind = true;  // nobody asked for it to be stored, so nobody waits for the disk
    // Arguments of a call fit the words of one question; another phrasing gets its own.
    if (answer->has_tool_calls && store.prompt.ineligible.empty()) store.prompt.ineligible = "tool_calls";
    store.text = std::move(answer->text);
    store.completion = std::move(answer->completion);
    store.tokens_prompt = answer->tokens_prompt;
    store.tokens_completion = answer->tokens_completion;
    // With the look-up before it: what its caller has waited.
    store.latency_ms = static_cast<double>(now_us() - began_us_) / 1000.0;
    const int64_t store_began_us = now_us();
    auto stored =
        co_await await_callback<Stored>(kStoreTimeoutMs, [this, &store](EnhancedCache::StoreCallback done) {
          services_->cache.store_async(std::move(store), std::move(done));
        });
    services_->observer.on_stage(Stage::kStore, now_us() - store_began_us);
    if (stored) {
      services_->observer.on_learn("stored");
    } else if (stored.error().code == ErrorCode::kInvalidArgument) {
      services_->observer.on_learn("refused");
    } else if (!flight_->is_abandoned()) {
      fail_open(*services_, Stage::kStore, stored.error());
      services_->observer.on_learn("cache_error");
    }
  }

  const ServicesPtr services_;
  const FlightPtr flight_;
  FlightPlan plan_;
  FlightHead head_;
  std::string withheld_;                   // the entry that shadow mode or serve_percent kept back
  std::optional<std::string> error_body_;  // of an error answer that was read already
  uint64_t generation_ = 0;                // of the cache, when this flight began
  int64_t began_us_ = 0;
};

asio::awaitable<void> run_flight(ServicesPtr services, FlightPtr flight, FlightPlan plan) {
  FlightRun run(std::move(services), flight, std::move(plan));
  co_await run.run();
}

}  // namespace

void launch(ServicesPtr services, FlightPtr flight, FlightPlan plan) {
  const asio::any_io_executor executor = flight->leader();
  const auto slot = flight->cancellation().slot();
  asio::co_spawn(executor, run_flight(std::move(services), flight, std::move(plan)),
                 asio::bind_cancellation_slot(slot, [flight](const std::exception_ptr& thrown) {
                   // Asio throws into a cancelled coroutine; anything else is a third party's exception.
                   if (thrown == nullptr) return;
                   std::string what = "unknown exception";
                   try {
                     std::rethrow_exception(thrown);
                   } catch (const std::exception& error) {
                     what = error.what();
                   } catch (...) {
                   }
                   if (!flight->is_abandoned())
                     base::log_error("an upstream call ended by an exception: {}", what);
                   ApiError error;
                   error.status = 502;
                   error.code = "upstream_error";
                   error.message = "The upstream call was given up: " + what + ".";
                   flight->fail(std::move(error));
                 }));
}

}  // namespace enhanced_gptcache::proxy
