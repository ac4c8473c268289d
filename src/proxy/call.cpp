#include "proxy/call.h"

#include <fmt/format.h>

#include "proxy/completion.h"
#include "proxy/hit_delay.h"
#include "proxy/replay.h"

namespace enhanced_gptcache::proxy {
namespace {

void add_identity(const Call& call, http::Headers& headers) {
  if (call.is_padded) {
    headers.push_back({"X-Cache-Request-Id", call.request_id});
    return;
  }
  headers.push_back({"X-Cache", std::string(to_string(call.outcome))});
  if (!call.reason.empty()) headers.push_back({"X-Cache-Reason", call.reason});
  headers.push_back({"X-Cache-Request-Id", call.request_id});
}

/// Similarity and entry are an oracle about what others asked: for those who manage the tenant, and debug
/// mode.
bool shows_decisions(const Call& call) {
  if (call.is_padded) return false;
  return call.options->debug_headers || (call.identity() != nullptr && call.identity()->sees_decisions());
}

void add_hit_headers(const Call& call, const Lookup& hit, http::Headers& headers) {
  if (call.is_padded) {
    headers = padded_headers(call);
    return;
  }
  add_identity(call, headers);
  headers.push_back({"X-Cache-Layer", std::string(to_string(hit.layer))});
  const int64_t age_s = (call.services->clock.wall_ms() - hit.entry->created_ms()) / 1000;
  headers.push_back({"Age", std::to_string(std::max<int64_t>(0, age_s))});
  if (!shows_decisions(call)) return;
  headers.push_back({"X-Cache-Similarity", fmt::format("{:.4f}", hit.similarity)});
  headers.push_back({"X-Cache-Entry", std::string(hit.entry->id())});
}

/// What callers write is cut to this in spans.
constexpr size_t kModelBytesMax = 100;

Span request_span(const RequestRecord& record, const http::Exchange& exchange) {
  const auto& notes = exchange.notes;
  const std::string method(exchange.request().method);
  Span span;
  span.name = fmt::format("{} {}", method, record.route);
  span.failed = record.status >= 500;
  span.attributes = {{"http.request.method", method},
                     {"http.route", std::string(record.route)},
                     {"http.response.status_code", int64_t{record.status}},
                     {"gen_ai.request.model", std::string(record.model.substr(0, kModelBytesMax))},
                     {"gen_ai.usage.input_tokens", static_cast<int64_t>(notes.tokens_prompt)},
                     {"gen_ai.usage.output_tokens", static_cast<int64_t>(notes.tokens_completion)},
                     {"egptc.cache.outcome", std::string(to_string(record.outcome))},
                     {"egptc.cache.reason", std::string(record.reason)},
                     {"egptc.request_id", notes.request_id},
                     {"egptc.stream", record.stream},
                     {"egptc.joined", record.joined},
                     {"egptc.ttft_ms", static_cast<double>(record.ttft_us) / 1000.0}};
  if (!record.layer.empty()) span.attributes.emplace_back("egptc.cache.layer", std::string(record.layer));
  return span;
}

}  // namespace

CallPtr make_call(const ServicesPtr& services, http::ExchangePtr exchange, std::string_view route) {
  auto call = std::make_shared<Call>();
  call->services = services;
  call->options = services->options.get();
  call->exchange = std::move(exchange);
  call->route = route;
  call->request_id = fresh_request_id();
  call->began_us = services->clock.mono_us();
  call->exchange->notes.route = route;
  call->trace = RequestTrace::begin(services->trace_sink, call->exchange->request().header("traceparent"),
                                    services->clock);
  return call;
}

void add_cache_headers(const Call& call, http::Headers& headers) {
  add_identity(call, headers);
  if (shows_decisions(call) && !call.detail.empty()) headers.push_back({"X-Cache-Detail", call.detail});
}

bool reply_hit(const CallPtr& asking, const Lookup& hit) {
  Call& call = *asking;
  const int64_t now_s = call.services->clock.wall_ms() / 1000;
  const Entry& entry = *hit.entry;
  http::Response response;
  if (call.body.stream) {
    auto stream = render_sse(entry, call.body.dialect, call.body.model, call.body.include_usage, now_s);
    if (!stream) {
      fail_open(*call.services, Stage::kRender, stream.error());
      return false;
    }
    response.body = std::move(*stream);
    response.headers.push_back({"Content-Type", "text/event-stream; charset=utf-8"});
    response.headers.push_back({"Cache-Control", "no-cache"});
  } else {
    response.body = render_json(entry, call.body.dialect, call.body.model, now_s);
    response.headers.push_back({"Content-Type", "application/json"});
  }
  call.outcome = Outcome::kHit;
  call.reason = hit.layer == Layer::kExact ? "exact_match" : "semantic_match";
  if (!hit.request_id.empty()) call.request_id = hit.request_id;
  add_hit_headers(call, hit, response.headers);
  note_tokens(call, entry.tokens_prompt(), entry.tokens_completion());
  const TokenCount saved{entry.tokens_prompt(), entry.tokens_completion()};
  if (call.is_padded) {
    send_padded(asking, std::move(response), entry.latency_ms(),
                [layer = hit.layer, saved](Call& held, int status) {
                  account(held, status, to_string(layer), saved);
                });
    return true;
  }
  mark_first_byte(call);
  account(call, 200, to_string(hit.layer), saved);
  call.exchange->send(std::move(response));
  return true;
}

void reply_error(Call& call, const ApiError& error) {
  http::Response response = to_response(error);
  add_cache_headers(call, response.headers);
  mark_first_byte(call);
  account(call, error.status);
  call.exchange->send(std::move(response));
}

void reply_refusal(Call& call, const ApiError& error) {
  call.outcome = Outcome::kBypass;
  call.exchange->notes.refused = error.status == 401 || error.status == 403;
  call.reason = error.status == 401 ? "unauthorized" : error.status == 403 ? "forbidden" : "invalid_request";
  reply_error(call, error);
}

void note_tokens(Call& call, uint64_t prompt, uint64_t completion) {
  call.exchange->notes.tokens_prompt = prompt;
  call.exchange->notes.tokens_completion = completion;
}

void mark_first_byte(Call& call) {
  if (call.exchange->notes.ttft_us == 0)
    call.exchange->notes.ttft_us = std::max<int64_t>(1, call.services->clock.mono_us() - call.began_us);
}

void account(Call& call, int status, std::string_view layer, TokenCount saved, TokenCount spent) {
  if (call.accounted) return;
  call.accounted = true;
  auto& notes = call.exchange->notes;
  notes.request_id = call.request_id;
  notes.model = call.body.model;
  notes.cache = to_string(call.outcome);
  // With security on the request hook has named the key.
  if (call.identity() == nullptr) notes.key_id = call.prompt.tenant;
  RequestRecord record;
  record.route = call.route;
  record.outcome = call.outcome;
  record.layer = layer;
  record.reason = call.reason;
  record.status = status;
  record.stream = call.body.stream;
  record.joined = call.joined;
  record.model = call.body.model;
  record.saved = saved;
  record.spent = spent;
  record.ttft_us = notes.ttft_us;
  record.total_us = call.services->clock.mono_us() - call.began_us;
  if (call.outcome == Outcome::kMiss && status == 200 && !call.joined &&
      !call.options->padded_namespaces.empty())
    call.services->miss_times[call.body.stream ? 1 : 0].add({record.ttft_us, record.total_us});
  call.services->observer.on_request(record);
  if (call.trace != nullptr) {
    call.trace->finish(request_span(record, *call.exchange));
    call.trace.reset();
  }
}

}  // namespace enhanced_gptcache::proxy
