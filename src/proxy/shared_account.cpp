#include "proxy/shared_account.h"

#include <algorithm>
#include <array>

#include "base/request_fields.h"
#include "proxy/forward.h"
#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

using std::string_view;

/// POST to these computes an answer from what the body holds. Bodies of the JSON dialects are looked into as
/// well; of the others, which are not held in memory, images/edits of some providers takes ids of files too.
constexpr auto kComputing = std::to_array<string_view>(
    {"audio/speech", "audio/transcriptions", "audio/translations", "chat/completions", "completions",
     "embeddings", "images/edits", "images/generations", "images/variations", "messages",
     "messages/count_tokens", "moderations", "rerank", "responses", "score"});

// A quote after a name that is not escaped ends it, so in canonical JSON none of these occurs within a
// string.
constexpr string_view kFile = R"("file_id":")";
/// Members whose value names something kept.
constexpr auto kReferences = std::to_array<string_view>(
    {kFile, R"("file_ids":[")", R"("previous_response_id":")", R"("vector_store_ids":[")", R"("container":")",
     R"("container_id":")", R"("skill_id":")", R"("background":true)", R"("type":"item_reference")"});

bool is_computing(string_view path) {
  return std::find(kComputing.begin(), kComputing.end(), path) != kComputing.end();
}

/// A model's name as a path has it: names have slashes and colons, but nothing that leads elsewhere.
bool is_plain_name(string_view name) {
  const std::string decoded = base::percent_decoded(name);
  return !decoded.empty() && decoded.find("..") == std::string::npos &&
         decoded.find('\\') == std::string::npos && decoded.find('%') == std::string::npos &&
         decoded.find('?') == std::string::npos;
}

/// A session of its own; with any other parameter (call_id) it is somebody's.
bool starts_realtime_session(const http::Request& request) {
  if (!equals_ignoring_case(request.header("upgrade"), "websocket")) return false;
  for (string_view rest = request.query; !rest.empty();) {
    const string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const string_view name = pair.substr(0, pair.find('='));
    if (name != "model" && name != "intent" && !base::is_credential_parameter(name)) return false;
  }
  return true;
}

/// An object of an id and, at most, a type: an item of an earlier answer. Stored prompts are the operator's.
bool names_an_item(string_view canonical) {
  constexpr string_view kStart = R"({"id":")";
  for (size_t at = canonical.find(kStart); at != string_view::npos; at = canonical.find(kStart, at + 1)) {
    string_view rest = canonical.substr(at + kStart.size());
    if (rest.starts_with("pmpt_")) continue;
    rest.remove_prefix(std::min(rest.size(), rest.find('"') + 1));  // an id has no escapes
    constexpr string_view kType = R"(,"type":)";
    if (rest.starts_with(kType)) {
      rest.remove_prefix(kType.size());
      rest.remove_prefix(std::min(rest.size(), rest.find_first_of(",}")));
    }
    if (rest.starts_with('}')) return true;
  }
  return false;
}

/// Several tenants use the key this request would go out with, and the settings do not say that they may
/// share what is kept under it. Admins decide about that setting and about all tenants.
bool is_account_shared(const Call& call, string_view model) {
  const security::Identity* identity = call.identity();
  if (identity == nullptr || call.options->share_provider_account || identity->role == security::Role::kAdmin)
    return false;
  const bool is_callers_account = call.services->upstream->passes_caller_credential(model) && call.has_secret;
  if (is_callers_account) return false;
  return !call.services->is_only_tenant || !call.services->is_only_tenant(*identity);
}

ApiError refusal(std::string_view what) {
  ApiError error;
  error.status = 403;
  error.code = "shared_resources_refused";
  error.message = std::string(what) +
                  " what the provider keeps in the one account that all tenants of this server share, where "
                  "they could read and delete each other's. To allow it, set upstream.shared_resources to "
                  "allow (EGPTC_UPSTREAM__SHARED_RESOURCES); or leave upstream.api_key empty and let callers "
                  "send provider keys of their own.";
  return error;
}

}  // namespace

bool is_stateless(const http::Request& request) {
  constexpr string_view kAzure = "/openai/deployments/";
  constexpr string_view kModels = "/v1/models/";
  const string_view path = request.path;
  for (const char* name : {"x-http-method-override", "x-http-method", "x-method-override"})
    if (request.has(name)) return false;  // what it does at the provider is not what it says here
  if (request.method == "GET" || request.method == "HEAD") {
    if (path == "/v1/models") return true;
    if (path.starts_with(kModels)) return is_plain_name(path.substr(kModels.size()));
    return path == "/v1/realtime" && starts_realtime_session(request);
  }
  if (request.method != "POST") return false;
  if (path.starts_with("/v1/")) return is_computing(path.substr(4));
  if (!path.starts_with(kAzure)) return false;
  const string_view rest = path.substr(kAzure.size());
  const size_t slash = rest.find('/');
  return slash != string_view::npos && is_plain_name(rest.substr(0, slash)) &&
         is_computing(rest.substr(slash + 1));
}

bool names_a_file(string_view document) { return document.find(kFile) != string_view::npos; }

bool names_stored_state(string_view document) {
  const auto is_there = [document](string_view one) { return document.find(one) != string_view::npos; };
  if (std::any_of(kReferences.begin(), kReferences.end(), is_there)) return true;
  // At the top only: tools may well have a parameter of this name.
  const auto conversation = find_member(document, "conversation");
  return (conversation && *conversation != "null") || names_an_item(document);
}

std::optional<ApiError> refuse_shared(const Call& call, string_view model) {
  if (is_stateless(call.exchange->request()) || !is_account_shared(call, model)) return std::nullopt;
  return refusal("This path reaches");
}

std::optional<ApiError> refuse_shared_body(const Call& call, string_view model) {
  if (!is_account_shared(call, model)) return std::nullopt;
  return refusal(
      "This request names (a file, an earlier answer, a conversation, a vector store or a container)");
}

}  // namespace enhanced_gptcache::proxy
