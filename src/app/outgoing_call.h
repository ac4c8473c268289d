#pragma once
// One HTTP call of the server's own to an address the operator has named: the issuer's keys, the collector of
// traces. Redirects are not followed: the operator has named one address.

#include <cstdint>
#include <string>

#include "enhanced_gptcache/result.h"
#include "http/exchange.h"

namespace enhanced_gptcache::app {

struct OutgoingCall {
  std::string method = "GET";
  std::string url;
  http::Headers headers;
  std::string body;
  std::string ca_file;         ///< trusted besides the system's authorities
  int64_t timeout_ms = 5'000;  ///< to connect, and for each wait for bytes
  int64_t total_ms = 15'000;   ///< for all of it: whoever answers byte by byte holds a thread no longer
  size_t answer_bytes_max = 64 << 10;
};

/// The body of a 2xx answer. Blocks the thread for up to `total_ms`. kUpstream: another status, or an answer
/// that is too large; kDeadline: it took longer than `total_ms`; else as UpstreamClient.
Result<std::string> call_out(const OutgoingCall& call);

}  // namespace enhanced_gptcache::app
