#pragma once
// GET /openapi.json: what the server answers, in the words of OpenAPI 3.1. The paths come from the routes
// that are registered, so one that is added or taken away cannot be forgotten; the sentences come from a
// table here, and a test fails for a route that has none.

#include <string>
#include <vector>

#include "http/server.h"

namespace enhanced_gptcache::admin {

/// The document for `routes`. Routes of any method (pass-through prefixes) are listed as x-pass-through,
/// because OpenAPI knows no such thing.
std::string openapi_json(const std::vector<http::RouteName>& routes);

/// Serves it. Call after every other route is registered, before open_routes(); immutable afterwards.
void register_openapi(http::Server& server);

}  // namespace enhanced_gptcache::admin
