#pragma once
// The head of a request as an upstream gets it. Internal to src/http.

#include <optional>
#include <string>

#include "http/upstream_target.h"

namespace enhanced_gptcache::http {

/// kInvalidArgument: method or path cannot be put on a request line, or a header has a control character.
/// Hop-by-hop headers are left out (RFC 9110 section 7.6.1), and every header that carries a credential
/// of the caller unless `target` is to have it; a target that is not the default one gets only headers known
/// to carry none. An egptc_ key of ours never leaves, wherever it stands.
Result<std::string> make_request_head(const Target& target, const UpstreamRequest& request);

/// Connection, Keep-Alive, Transfer-Encoding...: about this connection, not about the message.
bool is_hop_by_hop(std::string_view name);

}  // namespace enhanced_gptcache::http
