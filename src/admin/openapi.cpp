#include "admin/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace enhanced_gptcache::admin {
namespace {

using nlohmann::ordered_json;

struct Description {
  std::string_view method, path, summary;
  std::string_view body;  ///< name of a schema below; empty: none
  int status = 200;
};

constexpr Description kDescriptions[] = {
    {"POST", "/v1/chat/completions",
     "Chat completion of the OpenAI API, answered from the cache or upstream.", "ProviderBody"},
    {"POST", "/v1/completions", "Completion of the OpenAI API, answered from the cache or upstream.",
     "ProviderBody"},
    {"POST", "/v1/embeddings", "Embeddings; those of the local model are made here.", "ProviderBody"},
    {"POST", "/v1/responses", "Response of the OpenAI API.", "ProviderBody"},
    {"POST", "/v1/messages", "Message of the Anthropic API.", "ProviderBody"},
    {"GET", "/v1/models", "Models of the provider and the local one.", ""},
    {"POST", "/cache/lookup", "Asks the cache without asking a provider.", "Lookup"},
    {"POST", "/cache/entries", "Stores one answer, or several at once.", "Store", 201},
    {"GET", "/cache/entries", "Entries of the caller's tenant, newest first.", ""},
    {"GET", "/cache/entries/*", "One entry.", ""},
    {"DELETE", "/cache/entries/*", "Removes one entry.", ""},
    {"POST", "/cache/feedback", "Says whether an answer was right, or that a hit was missed.", "Feedback"},
    {"POST", "/cache/explain", "How a lookup would be decided, and why.", "Lookup"},
    {"POST", "/cache/invalidate", "Removes, or counts, entries by tag or filter.", "Invalidate"},
    {"POST", "/cache/flush", "Removes a namespace of the caller's tenant, or all of it.", "Flush"},
    {"POST", "/cache/erase", "Erases a subject from memory and disk; answers with a signed receipt.",
     "Erase"},
    {"POST", "/cache/export", "What is stored of a subject, a page at a time.", "Export"},
    {"GET", "/health", "Every check; 503 when one is unhealthy.", ""},
    {"GET", "/ready", "200 once requests are served, 503 before.", ""},
    {"GET", "/live", "200 while the process can answer.", ""},
    {"GET", "/metrics", "Prometheus text, or a summary as JSON (?format=json|prometheus).", ""},
    {"GET", "/admin/config", "Settings in force and where each comes from; secrets are masked.", ""},
    {"PUT", "/admin/config",
     "Changes settings that can change while the server runs; ?dry_run=true only checks.", "Settings"},
    {"GET", "/admin/config/schema", "Every setting: type, range, default, unit and what it does.", ""},
    {"POST", "/admin/config/reset", "Forgets the changes made through PUT.", ""},
    {"POST", "/admin/reload", "Reads the settings file now.", ""},
    {"GET", "/admin/stats", "Counts of cache and server.", ""},
    {"GET", "/admin/events", "Figures of cache and server as server-sent events.", ""},
    {"GET", "/admin/tau", "Thresholds of users, under pseudonyms, and how they were aggregated.", ""},
    {"GET", "/admin/backup", "Copies of the entries that a backup has not taken yet.", ""},
    {"POST", "/admin/backup", "Makes a consistent copy of the entries for a backup.", ""},
    {"DELETE", "/admin/backup/*", "Removes such a copy.", ""},
    {"GET", "/admin/encryption", "Master keys by their ids, and how far a rotation is.", ""},
    {"POST", "/admin/encryption/rotate",
     "Reads the master keys again; everything is sealed by the first one.", "", 202},
    {"GET", "/admin/keys", "Every API key, without its secret.", ""},
    {"POST", "/admin/keys", "Creates a key; its secret is shown once.", "Key", 201},
    {"POST", "/admin/keys/*", "Rotates the key: /admin/keys/{id}/rotate.", ""},
    {"DELETE", "/admin/keys/*", "Revokes the key.", ""},
    {"GET", "/admin/audit", "The newest lines of the audit log.", ""},
    {"GET", "/admin/permissions", "Who may call what.", ""},
    {"GET", "/console", "The operator console, a web page.", ""},
    {"GET", "/console/*", "Its files.", ""},
    {"GET", "/console/session", "Who the caller is, and what the role may call.", ""},
    {"GET", "/openapi.json", "This document.", ""},
};

ordered_json text(std::string_view description) { return {{"type", "string"}, {"description", description}}; }

/// Bodies of the native API; unknown fields are errors there, so nothing else is allowed.
ordered_json schemas() {
  const ordered_json context = {
      {"type", "array"},
      {"items", {{"type", "object"}, {"properties", {{"role", text("")}, {"content", text("")}}}}}};
  const ordered_json question = {{"query", text("the newest user text")},
                                 {"context", context},
                                 {"namespace", text("below the caller's tenant")},
                                 {"model", text("default: \"default\"")}};
  const auto closed = [](ordered_json properties, std::vector<std::string> required) {
    return ordered_json{{"type", "object"},
                        {"properties", std::move(properties)},
                        {"required", std::move(required)},
                        {"additionalProperties", false}};
  };
  ordered_json lookup = question;
  lookup["threshold"] = {{"type", "number"}, {"minimum", 0}, {"maximum", 1}};
  ordered_json entry = question;
  entry["response"] = {{"description", "text, or any JSON, which comes back unchanged"}};
  entry["tags"] = {{"type", "array"}, {"items", {{"type", "string"}}}};
  entry["subject"] = text("whose data this is");
  entry["ttl_seconds"] = {{"type", "integer"}, {"minimum", 1}};
  const ordered_json feedback = {{"request_id", text("X-Cache-Request-Id of the answer")},
                                 {"entry_id", text("instead of request_id: of the newest answer from it that "
                                                   "the caller was served and has not judged")},
                                 {"missed_entry_id", text("the entry that should have been served")},
                                 {"query", text("")},
                                 {"context", context},
                                 {"correct", {{"type", "boolean"}}}};
  const ordered_json filter = {{"namespace", text("")},
                               {"model", text("")},
                               {"subject", text("")},
                               {"tags", {{"type", "array"}, {"items", {{"type", "string"}}}}},
                               {"query_contains", text("")},
                               {"created_before_ms", {{"type", "integer"}, {"minimum", 0}}},
                               {"dry_run", {{"type", "boolean"}}}};
  const ordered_json one = closed(entry, {"query", "response"});
  const ordered_json many = closed({{"entries", {{"type", "array"}, {"items", one}}}}, {"entries"});
  return {{"Lookup", closed(lookup, {"query"})},
          {"Store", {{"oneOf", {one, many}}}},
          {"Feedback", closed(feedback, {})},
          {"Invalidate", closed(filter, {})},
          {"Flush", closed({{"namespace", text("")}, {"confirm", {{"const", "flush"}}}}, {"confirm"})},
          {"Erase", closed({{"subject", text("whose data")}, {"namespace", text("")}}, {"subject"})},
          {"Export", closed({{"subject", text("whose data")},
                             {"namespace", text("")},
                             {"limit", {{"type", "integer"}, {"minimum", 1}}},
                             {"cursor", text("next_cursor of the page before")}},
                            {"subject"})},
          {"Key",
           {{"type", "object"},
            {"properties",
             {{"name", text("")},
              {"role", {{"enum", {"viewer", "client", "operator", "admin"}}}},
              {"tenant", text("default: one of its own")}}},
            {"required", {"name", "role"}}}},
          {"Settings", {{"type", "object"}, {"examples", {{{"cache", {{"size_mb", 300}}}}}}}},
          {"ProviderBody", {{"type", "object"}, {"description", "as the provider documents it"}}}};
}

const Description* description_of(const http::RouteName& route) {
  const auto* const found = std::find_if(
      std::begin(kDescriptions), std::end(kDescriptions),
      [&route](const Description& one) { return one.method == route.method && one.path == route.path; });
  return found == std::end(kDescriptions) ? nullptr : found;
}

ordered_json operation(const http::RouteName& route) {
  const Description* known = description_of(route);
  ordered_json out = {{"summary", known == nullptr ? "" : std::string(known->summary)}};
  if (route.path.ends_with("/*"))
    out["parameters"] = {
        {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}};
  if (known != nullptr && !known->body.empty()) {
    out["requestBody"] = {{"required", true},
                          {"content",
                           {{"application/json",
                             {{"schema", {{"$ref", "#/components/schemas/" + std::string(known->body)}}}}}}}};
  }
  const int status = known == nullptr ? 200 : known->status;
  out["responses"] = {{std::to_string(status), {{"description", "success"}}},
                      {"default", {{"description", "an error that names field, value and range"}}}};
  return out;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return text;
}

}  // namespace

std::string openapi_json(const std::vector<http::RouteName>& routes) {
  ordered_json paths = ordered_json::object();
  ordered_json passed = ordered_json::array();
  for (const http::RouteName& route : routes) {
    if (route.method == "*") {
      passed.push_back(route.path);
      continue;
    }
    const bool is_prefix = route.path.ends_with("/*");
    const std::string path = is_prefix ? route.path.substr(0, route.path.size() - 1) + "{id}" : route.path;
    paths[path][lower(route.method)] = operation(route);
  }
  const ordered_json out = {{"openapi", "3.1.0"},
                            {"info",
                             {{"title", "Enhanced GPTCache"},
                              {"version", EGPTC_VERSION},
                              {"description", "A semantic cache in front of language model providers."}}},
                            {"paths", std::move(paths)},
                            {"x-pass-through", std::move(passed)},
                            {"components", {{"schemas", schemas()}}}};
  return out.dump(1);
}

void register_openapi(http::Server& server) {
  std::vector<http::RouteName> routes = server.routes();
  routes.push_back({"GET", "/openapi.json"});
  server.route("GET", "/openapi.json", [body = openapi_json(routes)](const http::ExchangePtr& exchange) {
    exchange->notes.route = "/openapi.json";
    http::Response response;
    response.headers = {{"Content-Type", "application/json"}};
    response.body = body;
    exchange->send(std::move(response));
  });
}

}  // namespace enhanced_gptcache::admin
