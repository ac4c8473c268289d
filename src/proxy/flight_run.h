#pragma once
// What the leader of a flight does: ask the semantic layer, then the provider, publish the answer as
// it comes, and learn it before its last byte goes out, so that the next request finds it.

#include <boost/asio/awaitable.hpp>

#include "proxy/field_table.h"
#include "proxy/flight.h"
#include "proxy/services.h"

namespace enhanced_gptcache::proxy {

/// Everything a flight needs, so that it outlives the request that started it.
struct FlightPlan {
  std::shared_ptr<const ProxyOptions> options;
  Dialect dialect = Dialect::kChat;
  Prompt prompt;
  bool look_up = false;  ///< ask the cache first
  LookupOptions lookup;
  bool go_upstream = true;                ///< false: only-if-cached
  std::optional<ApiError> no_credential;  ///< why the provider cannot be asked
  http::UpstreamRequest request;
  std::string plain_body;             ///< the body without stream_options of ours, kept when they were added
  bool strip_usage = false;           ///< the caller did not ask for usage, we did
  std::string first_reason = "miss";  ///< X-Cache-Reason when no lookup says better
  bool learn = false;
  http::UpstreamRequest judge;     ///< of a withheld hit (shadow_check.h)
  security::IdentityPtr identity;  ///< who asked; null while security is off
  TracePtr trace;                  ///< null: not traced
  StoreRequest store;              ///< prompt, text and completion are filled in
};

/// Starts the coroutine on the flight's leader executor. Cancelled when the flight is abandoned.
void launch(ServicesPtr services, FlightPtr flight, FlightPlan plan);

}  // namespace enhanced_gptcache::proxy
