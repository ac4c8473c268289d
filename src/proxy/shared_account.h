#pragma once
// What a provider keeps (files, batches, threads, vector stores, stored answers, fine-tunings) belongs to the
// account of the key a request goes out with. Tenants that share our key share that account, and the provider
// cannot tell them apart: each could list, read and delete what the others keep. So such requests are refused
// unless upstream.shared_resources allows them. What keeps nothing is known by a list; every other path
// counts as keeping something, whoever invents it. Internal to src/proxy.

#include <optional>
#include <string_view>

#include "http/exchange.h"
#include "proxy/call.h"
#include "proxy/errors.h"

namespace enhanced_gptcache::proxy {

/// Does this request, by method, path and query, neither read nor change what a provider keeps? What the body
/// names is another question. Any thread.
bool is_stateless(const http::Request& request);

/// Does a body name an uploaded file? `document` is canonical JSON. Any thread; linear time.
bool names_a_file(std::string_view document);
/// For dialects that can go on from what a provider keeps (/v1/responses, /v1/messages): a file, an answer or
/// item of one, a conversation, a vector store, a container, a skill; or an answer to be fetched later.
bool names_stored_state(std::string_view document);

/// 403 for a request (its body apart) that would reach what other tenants keep at the provider this model
/// goes to; nothing when it may go on.
std::optional<ApiError> refuse_shared(const Call& call, std::string_view model);
/// The same for a request whose body names something kept.
std::optional<ApiError> refuse_shared_body(const Call& call, std::string_view model);

}  // namespace enhanced_gptcache::proxy
