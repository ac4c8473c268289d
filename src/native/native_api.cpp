#include "native/native_api.h"

#include <fmt/format.h>

#include "base/canonical_json.h"
#include "base/cell.h"
#include "base/clock.h"
#include "base/error_table.h"
#include "base/log.h"
#include "native/body.h"
#include "native/deadline.h"
#include "native/erasure.h"
#include "native/raw_json.h"
#include "native/reply.h"
#include "native/requests.h"
#include "native/rights.h"

namespace enhanced_gptcache::native {

using http::ExchangePtr;

class NativeApi::Impl : public std::enable_shared_from_this<NativeApi::Impl> {
 public:
  Impl(NativeOptions options, EnhancedCache& cache, CallerOf caller_of, Offload offload,
       NativeObserver* observer, security::CacheWatch* watch, Offload offload_long)
      : cache_(cache),
        caller_of_(std::move(caller_of)),
        offload_(std::move(offload)),
        offload_long_(offload_long ? std::move(offload_long) : offload_),
        observer_(observer),
        watch_(watch),
        options_(std::move(options)) {}

  void set_options(NativeOptions options) { options_.set(std::move(options)); }

  void lookup(const ExchangePtr& exchange);
  void store(const ExchangePtr& exchange);
  void list(const ExchangePtr& exchange);
  void get_entry(const ExchangePtr& exchange);
  void delete_entry(const ExchangePtr& exchange);
  void feedback(const ExchangePtr& exchange);
  void explain(const ExchangePtr& exchange);
  void invalidate(const ExchangePtr& exchange);
  void flush(const ExchangePtr& exchange);
  void erase(const ExchangePtr& exchange);
  void export_subject(const ExchangePtr& exchange);

 private:
  /// The parsed body and the caller, or an answer already sent (false).
  struct Call {
    Caller caller;
    nlohmann::json body;
  };
  bool begin(const ExchangePtr& exchange, Call& call);
  /// Of the caller's tenant, as may_reach() says; null: none.
  EntryPtr find_entry(const Caller& caller, std::string_view id) const;
  void refuse(const ExchangePtr& exchange, const Error& error, std::string_view param = {});
  /// Runs `work` elsewhere, or answers 503.
  void later(const ExchangePtr& exchange, std::function<void()> work) { later(exchange, work, offload_); }
  void later(const ExchangePtr& exchange, std::function<void()> work, const Offload& where);
  /// Sends `answer` once everything done so far is on disk, or why it is not.
  void when_durable(const ExchangePtr& exchange, http::Response answer);
  std::shared_ptr<const NativeOptions> options() const { return options_.get(); }
  void store_all(const ExchangePtr& exchange, std::vector<StoreRequest> requests);

  EnhancedCache& cache_;
  CallerOf caller_of_;
  Offload offload_, offload_long_;
  NativeObserver* observer_;
  security::CacheWatch* watch_;
  base::Cell<NativeOptions> options_;
};

namespace {

/// One page of an export ends with the entry that goes beyond it.
constexpr size_t kExportBytesMax = size_t{16} << 20U;

double elapsed_ms(const http::Exchange& exchange) {
  return static_cast<double>(base::system_clock().mono_us() - exchange.started_us) / 1000.0;
}

void forbid(const ExchangePtr& exchange, const Forbidden& what) {
  exchange->notes.refused = true;
  exchange->notes.audit = what.message;
  exchange->send(error_response(403, what.message, what.param));
}

/// The id in /cache/entries/{id}; empty when it is none.
std::string_view path_id(const http::Request& request) {
  const std::string_view id = request.path.substr(request.path.rfind('/') + 1);
  const bool hex = id.find_first_not_of("0123456789abcdef") == id.npos;
  return hex && id.size() <= 64 ? id : std::string_view();
}

}  // namespace

void NativeApi::Impl::refuse(const ExchangePtr& exchange, const Error& error, std::string_view param) {
  if (observer_ != nullptr) observer_->on_error(error.code);
  exchange->send(error_response(error, param));
}

bool NativeApi::Impl::begin(const ExchangePtr& exchange, Call& call) {
  auto caller = caller_of_(*exchange);
  if (!caller) {
    // A refused credential is the one invalid argument that is not the body's fault.
    const int status = caller.error().code == ErrorCode::kUnsupported ? 403 : 401;
    exchange->notes.refused = true;
    exchange->send(error_response(status, caller.error().message));
    return false;
  }
  call.caller = std::move(*caller);
  if (exchange->request().method == "GET" || exchange->request().method == "DELETE") return true;
  auto body = Body::parse(exchange->request().body);
  if (!body) {
    refuse(exchange, body.error());
    return false;
  }
  call.body = std::move(*body);
  if (const auto forbidden = find_forbidden(call.caller, call.body)) {
    forbid(exchange, *forbidden);
    return false;
  }
  return true;
}

EntryPtr NativeApi::Impl::find_entry(const Caller& caller, std::string_view id) const {
  EntryPtr entry = cache_.get(caller.tenant, id);
  return entry != nullptr && may_reach(caller, *entry) ? entry : nullptr;
}

void NativeApi::Impl::later(const ExchangePtr& exchange, std::function<void()> work, const Offload& where) {
  if (where(std::move(work))) return;
  refuse(exchange,
         {ErrorCode::kOverloaded, "too many administrative calls are waiting; try again in a second"});
}

void NativeApi::Impl::when_durable(const ExchangePtr& exchange, http::Response answer) {
  cache_.commit_async([self = shared_from_this(), exchange, answer = std::move(answer)](Result<void> done) {
    if (!done) return self->refuse(exchange, done.error());
    exchange->send(answer);
  });
}

void NativeApi::Impl::lookup(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  const auto options = this->options();
  Body body(call.body);
  LookupCall wanted = read_lookup(body, call.caller, *options);
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  const security::IdentityPtr& who = call.caller.identity;
  const bool watched = watch_ != nullptr && who != nullptr;
  if (watched && !watch_->may_match(*who)) wanted.options.semantic = false;
  auto once = std::make_shared<AnswerOnce>(exchange, options->request_timeout_ms);
  cache_.lookup_async(
      std::move(wanted.prompt), wanted.options,
      [self = shared_from_this(), exchange, once, shown = call.caller.sees_decisions(),
       sheds = options->shed_overload, who = watched ? who : nullptr](Result<Lookup> found) {
        if (found && sheds && found->entry == nullptr && found->reason == MissReason::kOverloaded)
          found = fail(ErrorCode::kOverloaded, "too many requests wait for an embedding");
        if (!found) {
          if (self->observer_ != nullptr) self->observer_->on_error(found.error().code);
          once->send(error_response(found.error()));
          return;
        }
        const double latency_ms = elapsed_ms(*exchange);
        const double similarity = found->nearest ? found->nearest->similarity : 0;
        if (who != nullptr) self->watch_->saw_lookup(*who, found->entry != nullptr, similarity);
        if (self->observer_ != nullptr) self->observer_->on_lookup(*found, latency_ms);
        once->send(
            json_response(200, lookup_json(*found, base::system_clock().wall_ms(), latency_ms, shown)));
      });
}

void NativeApi::Impl::store(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  if (!options()->clients_may_store && !call.caller.is_trusted())
    return forbid(exchange, {"this key may not store entries of its own making (cache.client_stores)", ""});
  auto requests = read_entries(exchange->request().body, call.body, call.caller, *options());
  if (!requests) return exchange->send(error_response(400, requests.error().message, requests.error().param));
  if (watch_ != nullptr && call.caller.identity != nullptr &&
      !watch_->may_insert(*call.caller.identity, requests->size()))
    return exchange->send(error_response(429, "this key stores more entries than it may; try again later"));
  if (requests->size() > 1) {
    return later(exchange, [self = shared_from_this(), exchange, all = std::move(*requests)]() mutable {
      self->store_all(exchange, std::move(all));
    });
  }
  auto once = std::make_shared<AnswerOnce>(exchange, options()->request_timeout_ms);
  cache_.store_async(std::move(requests->front()), [self = shared_from_this(), once](Result<Stored> stored) {
    if (!stored) {
      if (self->observer_ != nullptr) self->observer_->on_error(stored.error().code);
      return once->send(error_response(stored.error()));
    }
    once->send(json_response(201, stored_json({*stored})));
  });
}

void NativeApi::Impl::store_all(const ExchangePtr& exchange, std::vector<StoreRequest> requests) {
  std::vector<Stored> stored;
  stored.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].write_behind = true;  // one commit for all of them
    auto one = cache_.store(requests[i]);
    if (!one) {
      Error error = one.error();
      error.message = fmt::format("entries[{}]: {} ({} entries before it are stored)", i, error.message, i);
      return refuse(exchange, error, fmt::format("entries[{}]", i));
    }
    stored.push_back(std::move(*one));
  }
  when_durable(exchange, json_response(201, stored_json(stored)));
}

void NativeApi::Impl::list(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  auto wanted = read_list(exchange->request().query, call.caller, *options());
  if (!wanted) return exchange->send(error_response(400, wanted.error().message, wanted.error().param));
  if (wanted->filter.name_space)
    if (const auto forbidden = find_forbidden_namespace(call.caller, *wanted->filter.name_space))
      return forbid(exchange, *forbidden);
  later(exchange, [self = shared_from_this(), exchange, wanted = std::move(*wanted)] {
    std::string out = "{\"entries\":[";
    std::string last;
    size_t count = 0;
    for (const EntryPtr& entry : self->cache_.list(wanted.filter, wanted.limit, wanted.cursor)) {
      if (count++ > 0) out += ',';
      out += entry_json(*entry, false);
      last = entry->id();
    }
    out += "],\"next_cursor\":" + (count < wanted.limit ? "null" : base::json_string(last)) + "}";
    exchange->send(json_response(200, std::move(out)));
  });
}

void NativeApi::Impl::get_entry(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  const EntryPtr entry = find_entry(call.caller, path_id(exchange->request()));
  if (entry == nullptr) return refuse(exchange, {ErrorCode::kNotFound, "no entry with this id"}, "id");
  exchange->send(json_response(200, entry_json(*entry, true)));
}

void NativeApi::Impl::delete_entry(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  const std::string_view id = path_id(exchange->request());
  if (find_entry(call.caller, id) == nullptr || !cache_.remove(call.caller.tenant, id)) {
    return refuse(exchange, {ErrorCode::kNotFound, "no entry with this id"}, "id");
  }
  when_durable(exchange, json_response(200, "{\"removed\":1}"));
}

void NativeApi::Impl::feedback(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  const Feedback wanted = read_feedback(body, call.caller);
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  for (const auto& [field, id] : {std::pair("entry_id", std::string_view(wanted.entry_id)),
                                  std::pair("missed_entry_id", std::string_view(wanted.missed_entry_id))})
    if (!id.empty() && find_entry(call.caller, id) == nullptr)
      return refuse(exchange, {ErrorCode::kNotFound, "no entry with this id"}, field);
  auto result = give_feedback(cache_, call.caller, wanted);
  if (!result) return refuse(exchange, result.error());
  if (observer_ != nullptr) observer_->on_feedback(result->action);
  http::Response answer = json_response(
      200, fmt::format("{{\"tau\":{:.6g},\"action\":{}}}", result->tau, base::json_string(result->action)));
  if (result->action != "removed") return exchange->send(std::move(answer));
  when_durable(exchange, std::move(answer));
}

void NativeApi::Impl::explain(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  LookupCall wanted = read_lookup(body, call.caller, *options());
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  later(exchange, [self = shared_from_this(), exchange, wanted = std::move(wanted)] {
    auto explanation = self->cache_.explain(wanted.prompt, wanted.options);
    if (!explanation) return self->refuse(exchange, explanation.error());
    exchange->send(json_response(
        200, explanation_json(*explanation, base::system_clock().wall_ms(), elapsed_ms(*exchange))));
  });
}

void NativeApi::Impl::invalidate(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  const InvalidateCall wanted = read_invalidate(body, call.caller);
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  later(exchange, [self = shared_from_this(), exchange, wanted] {
    const size_t count = self->cache_.invalidate(wanted.filter, wanted.dry_run);
    http::Response answer =
        json_response(200, fmt::format("{{\"{}\":{},\"dry_run\":{}}}", wanted.dry_run ? "matched" : "removed",
                                       count, wanted.dry_run));
    if (wanted.dry_run) return exchange->send(std::move(answer));
    self->when_durable(exchange, std::move(answer));
  });
}

void NativeApi::Impl::flush(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  const auto name_space = read_flush_namespace(body, call.caller);
  if (body.text("confirm", 64) != "flush") body.reject("confirm", "must be the string flush");
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  later(exchange, [self = shared_from_this(), exchange, tenant = call.caller.tenant, name_space] {
    const size_t removed =
        self->cache_.flush(tenant, name_space ? std::optional<std::string_view>(*name_space) : std::nullopt);
    self->when_durable(exchange, json_response(200, fmt::format("{{\"removed\":{}}}", removed)));
  });
}

void NativeApi::Impl::erase(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  const SubjectCall wanted = read_erase(body, call.caller);
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  later(
      exchange,
      [self = shared_from_this(), exchange, tenant = call.caller.tenant, wanted] {
        const auto erased = self->cache_.erase(tenant, wanted.subject, wanted.name_space);
        if (!erased) return self->refuse(exchange, erased.error());
        // Never the name: the audit log is kept longer than what it was erased from.
        exchange->notes.audit = fmt::format("a subject was erased: {} entries, ledger number {}",
                                            erased->entries, erased->ledger_sequence);
        exchange->send(
            json_response(200, receipt_json(wanted, tenant, *erased, self->cache_.encryption_stats(),
                                            self->options()->receipt_key)));
      },
      offload_long_);
}

void NativeApi::Impl::export_subject(const ExchangePtr& exchange) {
  Call call;
  if (!begin(exchange, call)) return;
  Body body(call.body);
  const SubjectCall wanted = read_export(body, call.caller, *options());
  if (auto ok = body.finish(); !ok) return refuse(exchange, ok.error(), body.error_field());
  later(exchange, [self = shared_from_this(), exchange, tenant = call.caller.tenant, wanted] {
    const auto entries =
        self->cache_.list_subject(tenant, wanted.subject, wanted.name_space, wanted.limit, wanted.cursor);
    if (!entries) {
      const bool is_gone = entries.error().code == ErrorCode::kNotFound;
      return exchange->send(error_response(is_gone ? 410 : 400, entries.error().message, "cursor"));
    }
    std::string out = "{\"entries\":[";
    std::string last;
    size_t count = 0;
    for (const EntryPtr& entry : *entries) {
      if (count++ > 0) out += ',';
      out += entry_json(*entry, true);
      last = self->cache_.subject_cursor(*entry);
      if (out.size() > kExportBytesMax) break;
    }
    const bool is_cut = count == wanted.limit || out.size() > kExportBytesMax;
    out += "],\"next_cursor\":" + (is_cut ? base::json_string(last) : "null");
    const auto tau = self->cache_.learned_threshold(tenant, wanted.subject);
    out += tau ? fmt::format(",\"learned_threshold\":{:.6g}}}", *tau) : ",\"learned_threshold\":null}";
    exchange->notes.audit = fmt::format("a subject was exported: {} entries", count);
    exchange->send(json_response(200, std::move(out)));
  });
}

NativeApi::NativeApi(NativeOptions options, EnhancedCache& cache, CallerOf caller_of, Offload offload,
                     NativeObserver* observer, security::CacheWatch* watch, Offload offload_long)
    : impl_(std::make_shared<Impl>(options, cache, std::move(caller_of), std::move(offload), observer, watch,
                                   std::move(offload_long))) {}
NativeApi::~NativeApi() = default;

void NativeApi::set_options(NativeOptions options) { impl_->set_options(options); }

void NativeApi::register_routes(http::Server& server) {
  const auto route = [&](const char* method, const char* path, void (Impl::*handler)(const ExchangePtr&)) {
    server.route(method, path, [impl = impl_, handler, path](ExchangePtr exchange) {
      exchange->notes.route = path;
      (impl.get()->*handler)(exchange);
    });
  };
  route("POST", "/cache/lookup", &Impl::lookup);
  route("POST", "/cache/entries", &Impl::store);
  route("GET", "/cache/entries", &Impl::list);
  route("GET", "/cache/entries/*", &Impl::get_entry);
  route("DELETE", "/cache/entries/*", &Impl::delete_entry);
  route("POST", "/cache/feedback", &Impl::feedback);
  route("POST", "/cache/explain", &Impl::explain);
  route("POST", "/cache/invalidate", &Impl::invalidate);
  route("POST", "/cache/flush", &Impl::flush);
  route("POST", "/cache/erase", &Impl::erase);
  route("POST", "/cache/export", &Impl::export_subject);
}

}  // namespace enhanced_gptcache::native
