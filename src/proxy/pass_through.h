#pragma once
// Requests the cache has no part in: sent on untouched and unbuffered, answers and WebSockets alike,
// and marked X-Cache: BYPASS.

#include "proxy/call.h"

namespace enhanced_gptcache::proxy {

struct PassThrough {
  std::string model;      ///< chooses the upstream route; empty: the default upstream
  bool buffered = false;  ///< the body is in the request already
};

void start_pass_through(CallPtr call, PassThrough how);

/// GET /v1/models without a provider to ask: what this server can answer by itself.
void reply_local_models(Call& call);

}  // namespace enhanced_gptcache::proxy
