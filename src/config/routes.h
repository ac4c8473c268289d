#pragma once
// upstream.routes: the one setting with structure, checked field by field.

#include <string>

#include "config/node.h"
#include "config/problem.h"
#include "config/settings.h"

namespace enhanced_gptcache::config {

/// Checks the list and replaces `routes`. False: problems were added ("upstream.routes[2].base_url"),
/// `routes` is as it was. Key files are not read yet.
bool assign_routes(const std::string& name, const Node& node, Routes& routes, const ProblemSink& sink);

/// As JSON, keys masked.
std::string routes_json(const Routes& routes);

}  // namespace enhanced_gptcache::config
