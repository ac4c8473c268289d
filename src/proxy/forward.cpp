#include "proxy/forward.h"

#include <algorithm>
#include <vector>

#include "base/canonical_json.h"
#include "base/request_fields.h"
#include "proxy/controls.h"
#include "proxy/json_view.h"
#include "security/credentials.h"

namespace enhanced_gptcache::proxy {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

template <size_t N>
bool is_one_of(std::string_view name, const std::string_view (&names)[N]) {
  return std::any_of(std::begin(names), std::end(names),
                     [name](std::string_view other) { return equals_ignoring_case(name, other); });
}

/// RFC 9110, section 7.6.1, and what the connection itself writes.
constexpr std::string_view kHopByHop[] = {"connection",
                                          "keep-alive",
                                          "proxy-connection",
                                          "te",
                                          "trailer",
                                          "transfer-encoding",
                                          "upgrade",
                                          "host",
                                          "content-length",
                                          "expect",
                                          "proxy-authenticate",
                                          "proxy-authorization",
                                          "http2-settings"};
/// What makes an answer hang on what one caller has already (RFC 9110, sections 13.1 and 14.2).
constexpr std::string_view kConditions[] = {"if-match",          "if-none-match",       "if-range",
                                            "if-modified-since", "if-unmodified-since", "range"};
constexpr std::string_view kNotForCallers[] = {
    "date", "alt-svc", "x-cache", "x-cache-reason", "x-cache-layer", "x-cache-request-id", "age"};

/// Header names that a Connection header declares hop-by-hop.
std::vector<std::string_view> nominated(std::string_view connection) {
  std::vector<std::string_view> names;
  while (!connection.empty()) {
    const size_t comma = connection.find(',');
    std::string_view name = connection.substr(0, comma);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (!name.empty()) names.push_back(name);
    if (comma == std::string_view::npos) break;
    connection.remove_prefix(comma + 1);
  }
  return names;
}

bool is_for_upstream(std::string_view name, const ForwardRules& rules,
                     const std::vector<std::string_view>& hop) {
  if (rules.upgrade && (equals_ignoring_case(name, "upgrade") || equals_ignoring_case(name, "connection")))
    return true;
  if (is_one_of(name, kHopByHop) || is_control_header(name)) return false;
  const base::HeaderClass what = base::header_class(name);
  if (what == base::HeaderClass::kLocal || equals_ignoring_case(name, "x-egptc-key")) return false;
  if (rules.drop_authorization && equals_ignoring_case(name, "authorization")) return false;
  if (!rules.keep_encoding && equals_ignoring_case(name, "accept-encoding")) return false;
  if (!rules.keep_cookies && equals_ignoring_case(name, "cookie")) return false;
  if (!rules.keep_conditions && is_one_of(name, kConditions)) return false;
  if (!rules.keep_credentials && (what == base::HeaderClass::kSecret || what == base::HeaderClass::kAccount ||
                                  equals_ignoring_case(name, "cookie")))
    return false;
  return std::none_of(hop.begin(), hop.end(),
                      [name](std::string_view other) { return equals_ignoring_case(name, other); });
}

/// The member stream_options with include_usage set and everything else as the caller wrote it.
std::string usage_member(std::string_view present) {
  std::string out = R"("stream_options":{)";
  MemberCursor members(present);
  while (members.next()) {
    if (members.key_is("include_usage")) continue;
    out.append(present.substr(members.begin(), members.end() - members.begin()));
    out.push_back(',');
  }
  return out + R"("include_usage":true})";
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_media_type(std::string_view value, std::string_view type) {
  std::string_view name = value.substr(0, value.find(';'));
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  return equals_ignoring_case(name, type);
}

void set_header(http::Headers& headers, std::string_view name, std::string value) {
  std::erase_if(headers,
                [name](const http::Header& header) { return equals_ignoring_case(header.name, name); });
  headers.push_back({std::string(name), std::move(value)});
}

http::Headers upstream_headers(const http::Request& request, const ForwardRules& rules) {
  const auto hop = nominated(rules.upgrade ? std::string_view() : request.header("connection"));
  http::Headers out;
  out.reserve(request.headers.size() + 1);
  for (const http::HeaderView& header : request.headers)
    if (is_for_upstream(header.name, rules, hop))
      out.push_back({std::string(header.name), std::string(header.value)});
  return out;
}

http::Headers caller_headers(const http::Headers& upstream, const ForwardRules& rules) {
  const std::string* connection = http::find_header(upstream, "connection");
  const auto hop =
      nominated(connection != nullptr && !rules.upgrade ? std::string_view(*connection) : std::string_view());
  http::Headers out;
  out.reserve(upstream.size() + 5);
  for (const http::Header& header : upstream) {
    const std::string_view name = header.name;
    const bool tunnel =
        rules.upgrade && (equals_ignoring_case(name, "upgrade") || equals_ignoring_case(name, "connection"));
    const bool length = rules.keep_encoding && equals_ignoring_case(name, "content-length");
    if (!tunnel && !length && (is_one_of(name, kHopByHop) || is_one_of(name, kNotForCallers))) continue;
    if (!rules.keep_encoding && equals_ignoring_case(name, "content-encoding")) continue;
    if (!rules.keep_cookies && equals_ignoring_case(name, "set-cookie")) continue;
    if (!tunnel && std::any_of(hop.begin(), hop.end(),
                               [name](std::string_view other) { return equals_ignoring_case(name, other); }))
      continue;
    out.push_back(header);
  }
  return out;
}

std::string upstream_path(const http::Request& request, bool keep_credentials) {
  std::string_view path = request.path;
  if (path == "/v1" || path.starts_with("/v1/")) path.remove_prefix(3);
  std::string out(path);
  const std::string query =
      keep_credentials ? std::string(request.query) : security::strip_credentials(request.query);
  if (!query.empty()) out += "?" + query;
  return out;
}

std::string edit_body(std::string_view body, const BodyEdits& edits) {
  if (!edits.drop_cache && !edits.ask_usage) return std::string(body);
  std::string out = "{";
  bool asked = false;
  const auto add = [&out](std::string_view member) {
    if (out.size() > 1) out.push_back(',');
    out.append(member);
  };
  MemberCursor members(body);
  while (members.next()) {
    if (edits.drop_cache && members.key_is("cache")) continue;
    if (edits.ask_usage && members.key_is("stream_options")) {
      add(usage_member(members.value()));
      asked = true;
      continue;
    }
    add(body.substr(members.begin(), members.end() - members.begin()));
  }
  if (edits.ask_usage && !asked) add(usage_member("{}"));
  return out + "}";
}

std::string surroundings_of(const http::Request& request) {
  std::string out;
  if (!request.query.empty()) {
    const std::string query = security::strip_credentials(request.query);
    if (!query.empty()) out = "?query:" + base::json_string(base::repair_utf8(query));
  }
  for (const http::HeaderView& header : request.headers) {
    if (base::header_class(header.name) != base::HeaderClass::kMeaning) continue;
    // "Any language" is what no such header means, and what some HTTP libraries send by themselves.
    if (header.value == "*" && equals_ignoring_case(header.name, "accept-language")) continue;
    out += "?header:";
    for (const char c : header.name) out.push_back(lower(c));
    out += base::json_string(base::repair_utf8(header.value));
  }
  return out;
}

}  // namespace enhanced_gptcache::proxy
