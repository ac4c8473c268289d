#pragma once
// One caller's side of a flight: takes a seat, waits, and writes what the flight publishes at the
// pace of its own client.

#include "proxy/call.h"

namespace enhanced_gptcache::proxy {

/// Starts the coroutine that answers `call` after an exact miss (or past the cache).
void start_session(CallPtr call);

/// 401 that says what to configure, when neither the caller nor the settings have a key for the
/// provider; nullopt when the call can be tried.
std::optional<ApiError> missing_credential(const Services& services, const ProxyOptions& options,
                                           std::string_view model, bool has_secret);

}  // namespace enhanced_gptcache::proxy
