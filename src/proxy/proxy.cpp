#include "proxy/proxy.h"

#include "base/canonical_json.h"
#include "proxy/asker_memo.h"
#include "proxy/call.h"
#include "proxy/completion.h"
#include "proxy/control_rights.h"
#include "proxy/embeddings.h"
#include "proxy/flight_table.h"
#include "proxy/forward.h"
#include "proxy/hit_delay.h"
#include "proxy/json_view.h"
#include "proxy/pass_through.h"
#include "proxy/session.h"
#include "proxy/shared_account.h"

namespace enhanced_gptcache::proxy {
namespace {

ProxyObserver& silent_observer() {
  static ProxyObserver observer;
  return observer;
}

/// Reads who calls. With security on the request hook has found out; with it off our own keys are refused,
/// because nothing says whose they are. Neither way are they forwarded.
std::optional<ApiError> identify(Call& call) {
  if (const security::Identity* identity = call.identity()) {
    call.prompt.tenant = identity->tenant;
    call.prompt.principal = identity->id;
    call.has_secret = security::has_provider_secret(call.exchange->request(), call.own_authorization());
    return std::nullopt;
  }
  const auto carriers = security::carriers_of(call.exchange->request());
  if (carriers.has_own_key()) {
    ApiError error;
    error.status = 401;
    error.code = "invalid_api_key";
    error.message =
        "A key that starts with egptc_ (or X-EGPTC-Key) was sent, but security is not enabled on this "
        "server, so it "
        "cannot be checked; send the provider's own key, or enable security.";
    return error;
  }
  call.has_secret = carriers.has_secret();
  call.prompt.tenant = carriers.tenant(call.services->instance_key);
  return std::nullopt;
}

/// Whose tau decides, and whose personal answers these are. A token's subject cannot be talked over; a key
/// speaks for many users, and for itself when it names none.
std::string user_of(const Call& call) {
  const security::Identity* identity = call.identity();
  if (identity != nullptr && !identity->user.empty()) return identity->user;
  if (!call.controls.subject.empty()) return call.controls.subject;
  if (!call.body.user.empty() || identity == nullptr) return call.body.user;
  return identity->id;
}

/// Body, credentials, controls: everything that is cheap and needed for the exact layer.
ApiResult<void> read_request(Call& call, Dialect dialect) {
  const http::Request& request = call.exchange->request();
  if (auto refused = identify(call)) return tl::unexpected(std::move(*refused));
  auto body = parse_body(dialect, request.body, surroundings_of(request));
  if (!body) return tl::unexpected(std::move(body.error()));
  call.body = std::move(*body);
  if (names_a_file(call.body.document))
    if (auto shared = refuse_shared_body(call, call.body.model)) return tl::unexpected(std::move(*shared));
  auto controls = read_controls(request.headers, call.body.cache,
                                {call.options->honour_cache_control, call.options->ttl_s_max});
  if (!controls) return tl::unexpected(std::move(controls.error()));
  call.controls = std::move(*controls);
  const security::Identity* identity = call.identity();
  if (identity != nullptr)
    if (auto allowed = apply_rights(*identity, call.controls); !allowed)
      return tl::unexpected(std::move(allowed.error()));
  // Who may see decisions has nothing to find out by the time they take.
  call.is_padded = is_padded_namespace(*call.options, call.controls.name_space) &&
                   (identity == nullptr || !identity->sees_decisions());
  if (call.is_padded && call.controls.only_if_cached)
    return tl::unexpected(
        forbidden_control("only-if-cached", "This namespace does not tell what is in the cache."));

  Prompt& prompt = call.prompt;
  prompt.name_space = call.controls.name_space;
  prompt.model = call.body.model;
  prompt.user = user_of(call);
  prompt.dialect = to_string(dialect);
  prompt.canonical = std::move(call.body.canonical);
  // With no user of its own a caller is told apart by its key, which the tenant is made of.
  prompt.user_scoped = call.options->user_scoped && !prompt.user.empty();
  call.lookup.threshold = call.controls.threshold;
  call.lookup.age_max_ms = call.controls.age_max_ms;
  call.lookup.exact = call.controls.type != CacheType::kSemantic;
  call.lookup.semantic = call.controls.type != CacheType::kExact && dialect != Dialect::kEmbeddings;
  return {};
}

/// Does this request use the cache, and how?
void choose_outcome(Call& call) {
  call.outcome = Outcome::kMiss;
  call.reason = call.lookup.semantic ? "no_candidate" : "exact_only";
  if (call.controls.type == CacheType::kOff) {
    call.outcome = Outcome::kBypass;
    call.reason = "type_off";
  } else if (call.body.temperature && *call.body.temperature > call.options->temperature_max) {
    call.outcome = Outcome::kBypass;
    call.reason = "temperature";
  } else if (call.controls.no_cache && !call.controls.only_if_cached) {
    call.outcome = Outcome::kRefresh;
    call.reason = "no_cache";
  }
}

/// The fast path: answered here and now, without a coroutine, when the exact layer has it.
bool answer_exactly(const CallPtr& asking) {
  Call& call = *asking;
  if (call.outcome != Outcome::kMiss || !call.lookup.exact) return false;
  Lookup hit;
  hit.entry = call.services->cache.find_exact(call.prompt, call.lookup);
  if (hit.entry == nullptr || !is_servable(*hit.entry, call.body.dialect)) return false;
  hit.layer = Layer::kExact;
  hit.similarity = hit.probability = 1.0;
  hit.request_id = call.services->cache.record_exact_hit(call.prompt, *hit.entry);
  return reply_hit(asking, hit);
}

void serve_cached(const CallPtr& call, Dialect dialect) {
  if (auto read = read_request(*call, dialect); !read) {
    reply_refusal(*call, read.error());
    return;
  }
  choose_outcome(*call);
  call->services->observer.on_stage(Stage::kParse, call->services->clock.mono_us() - call->began_us);
  // Whether a question is the asker's own shows in its text only: without it a named user would be given the
  // answer of somebody who named none.
  const bool is_told_apart = call->prompt.user.empty() || call->prompt.user_scoped;
  if (!is_told_apart) call->prompt.personal = remembered_personal(call->prompt, call->controls.query);
  const bool is_known = is_told_apart || call->prompt.personal;
  if (is_known && answer_exactly(call)) return;
  // An exact hit needed none of this: the same body was checked when it was learned.
  const PromptRules rules{call->options->mask_system, call->controls.query};
  if (auto complete = complete_prompt(call->body, rules, call->prompt); !complete) {
    reply_refusal(*call, complete.error());
    return;
  }
  if (!is_known) {
    remember_personal(call->prompt, call->controls.query, *call->prompt.personal);
    if (answer_exactly(call)) return;
  }
  if (call->controls.type == CacheType::kExact && call->prompt.ineligible.empty())
    call->prompt.ineligible = "cache_type";
  security::CacheWatch* watch = call->services->watch;
  if (watch != nullptr && call->identity() != nullptr && !watch->may_match(*call->identity()))
    call->lookup.semantic = false;
  start_session(call);
}

}  // namespace

Proxy::Proxy(ProxyOptions options, ProxyParts parts)
    : services_(std::shared_ptr<Services>(
          new Services{*parts.cache,
                       std::move(parts.upstream),
                       std::move(parts.embedder),
                       parts.instance_key,
                       parts.observer != nullptr ? *parts.observer : silent_observer(),
                       parts.clock != nullptr ? *parts.clock : base::system_clock(),
                       OptionsCell(std::move(options)),
                       std::make_shared<FlightTable>(),
                       {},
                       parts.watch,
                       {},
                       {},
                       std::move(parts.trace_sink),
                       std::move(parts.is_only_tenant)})) {}

Proxy::~Proxy() = default;

void Proxy::set_options(ProxyOptions options) { services_->options.set(std::move(options)); }
size_t Proxy::flights() const { return services_->flights->size(); }

void Proxy::handle_chat(http::ExchangePtr exchange) {
  serve_cached(make_call(services_, std::move(exchange), "/v1/chat/completions"), Dialect::kChat);
}

void Proxy::handle_completions(http::ExchangePtr exchange) {
  serve_cached(make_call(services_, std::move(exchange), "/v1/completions"), Dialect::kCompletions);
}

void Proxy::handle_embeddings(http::ExchangePtr exchange) {
  const CallPtr call = make_call(services_, std::move(exchange), "/v1/embeddings");
  if (auto refused = identify(*call)) return reply_refusal(*call, *refused);
  if (is_local_embedding(*call))
    serve_local_embedding(call);
  else
    serve_cached(call, Dialect::kEmbeddings);
}

void Proxy::handle_models(http::ExchangePtr exchange) {
  const CallPtr call = make_call(services_, std::move(exchange), "/v1/models");
  if (auto refused = identify(*call)) return reply_refusal(*call, *refused);
  if (missing_credential(*services_, *call->options, {}, call->has_secret)) return reply_local_models(*call);
  start_pass_through(call, {});
}

void Proxy::handle_uncached(http::ExchangePtr exchange) {
  const CallPtr call = make_call(services_, std::move(exchange), "/v1/*");
  if (auto refused = identify(*call)) return reply_refusal(*call, *refused);
  // The model chooses the route; a body that is no JSON is the provider's to refuse.
  std::string model;
  auto document = base::canonical_json(call->exchange->request().body);
  if (document)
    if (const auto found = find_member(*document, "model")) model = json_text(*found);
  call->body.model = model;
  // What we cannot read may name anything.
  if (!document || names_stored_state(*document))
    if (auto refused = refuse_shared_body(*call, model)) return reply_refusal(*call, *refused);
  start_pass_through(call, {model, true});
}

void Proxy::handle_pass_through(http::ExchangePtr exchange) {
  const CallPtr call = make_call(services_, std::move(exchange), "/v1/*");
  if (auto refused = identify(*call)) return reply_refusal(*call, *refused);
  if (auto refused = refuse_shared(*call, {})) return reply_refusal(*call, *refused);
  start_pass_through(call, {});
}

void Proxy::register_routes(http::Server& server) {
  const auto bind = [services = services_](void (Proxy::*handler)(http::ExchangePtr)) {
    // Handlers may outlive this object by a request; they hold the services, not the Proxy.
    auto proxy = std::shared_ptr<Proxy>(new Proxy(services));
    return [proxy, handler](http::ExchangePtr exchange) { (proxy.get()->*handler)(std::move(exchange)); };
  };
  server.route("POST", "/v1/chat/completions", bind(&Proxy::handle_chat));
  server.route("POST", "/v1/completions", bind(&Proxy::handle_completions));
  server.route("POST", "/v1/embeddings", bind(&Proxy::handle_embeddings));
  server.route("POST", "/v1/responses", bind(&Proxy::handle_uncached));
  server.route("POST", "/v1/messages", bind(&Proxy::handle_uncached));
  server.route("GET", "/v1/models", bind(&Proxy::handle_models));
  const http::RouteOptions unbuffered{.buffer_body = false};
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses",
                           "/v1/messages", "/v1/models", "/v1/*", "/openai/deployments/*"})
    server.route("*", path, bind(&Proxy::handle_pass_through), unbuffered);
}

}  // namespace enhanced_gptcache::proxy
