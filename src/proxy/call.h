#pragma once
// One request on its way through the proxy: what was read from it, what was decided, and the answer
// with the headers every proxied answer carries. Internal to src/proxy.

#include <memory>
#include <string>

#include "http/exchange.h"
#include "proxy/controls.h"
#include "proxy/request_body.h"
#include "proxy/services.h"
#include "proxy/token_count.h"
#include "security/credentials.h"
#include "security/identity.h"

namespace enhanced_gptcache::proxy {

/// Thread rule: confined to the exchange's executor.
struct Call {
  ServicesPtr services;
  std::shared_ptr<const ProxyOptions> options;
  http::ExchangePtr exchange;
  std::string_view route;
  RequestBody body;
  Controls controls;
  Prompt prompt;
  LookupOptions lookup;
  bool is_padded = false;   ///< hits are held back, and headers tell no hit from a miss (hit_delay.h)
  bool has_secret = false;  ///< the caller sent a credential of a provider

  /// Who calls; null while security is off.
  const security::Identity* identity() const {
    return exchange->pass == nullptr ? nullptr : exchange->pass->identity.get();
  }
  /// The Authorization header is for us alone.
  bool own_authorization() const { return exchange->pass != nullptr && exchange->pass->own_authorization; }

  Outcome outcome = Outcome::kMiss;
  std::string reason;
  std::string detail;
  std::string request_id;
  bool joined = false;
  int64_t began_us = 0;
  bool accounted = false;
  TracePtr trace;  ///< null: not traced
};
using CallPtr = std::shared_ptr<Call>;

CallPtr make_call(const ServicesPtr& services, http::ExchangePtr exchange, std::string_view route);

/// X-Cache, X-Cache-Reason and X-Cache-Request-Id of a call that is no hit.
void add_cache_headers(const Call& call, http::Headers& headers);

/// Answers from an entry. False: the entry cannot be rendered in this dialect (counted; go on as after a
/// miss).
bool reply_hit(const CallPtr& call, const Lookup& hit);
/// Answers with an error of ours. Without an outcome yet it is a bypass.
void reply_error(Call& call, const ApiError& error);
/// Refuses before anything was decided: bad body, bad control, foreign key.
void reply_refusal(Call& call, const ApiError& error);

/// Counts the request and fills the access log's notes. Once per call; later ones do nothing.
void account(Call& call, int status, std::string_view layer = {}, TokenCount saved = {},
             TokenCount spent = {});
/// For the access log: what the answer cost when it was made, by the provider's account.
void note_tokens(Call& call, uint64_t prompt, uint64_t completion);
/// The first byte goes out now.
void mark_first_byte(Call& call);

}  // namespace enhanced_gptcache::proxy
