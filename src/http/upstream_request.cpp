#include "http/upstream_request.h"

#include <array>

#include "base/request_fields.h"
#include "http/head_parser.h"

namespace enhanced_gptcache::http {
namespace {

constexpr std::array<std::string_view, 9> kHopByHop = {"connection",
                                                       "keep-alive",
                                                       "proxy-authenticate",
                                                       "proxy-authorization",
                                                       "proxy-connection",
                                                       "te",
                                                       "trailer",
                                                       "transfer-encoding",
                                                       "upgrade"};

constexpr std::array<std::string_view, 5> kOurs = {"host", "content-length", "expect", "x-egptc-key",
                                                   "http2-settings"};

template <size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  for (const std::string_view other : names) {
    if (equals_ignoring_case(name, other)) return true;
  }
  return false;
}

bool is_named_by(const Headers& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, "connection") && list_contains(header.value, name)) return true;
  }
  return false;
}

bool is_left_out(const Target& target, const Headers& headers, const Header& header) {
  if (is_hop_by_hop(header.name) || is_one_of(header.name, kOurs)) return true;
  const base::HeaderClass what = base::header_class(header.name);
  // Another vendor gets only what is known to be harmless; so does a route without a key of its own.
  if (!target.is_default && !base::may_go_to_any_provider(what)) return true;
  const bool credential = what == base::HeaderClass::kSecret || what == base::HeaderClass::kAccount ||
                          equals_ignoring_case(header.name, "cookie") ||
                          equals_ignoring_case(header.name, "cookie2");
  if (credential && !target.passes_caller_credential) return true;
  return base::holds_own_key(header.value) || is_named_by(headers, header.name);
}

/// Some APIs take the key as a query parameter, so it is a credential as well.
std::string without_key_parameters(std::string_view path, bool own_only) {
  const size_t mark = path.find('?');
  if (mark == std::string_view::npos) return std::string(path);
  const std::string_view query = path.substr(mark + 1);
  const std::string left = own_only ? base::without_own_keys(query) : base::without_credentials(query);
  return std::string(path.substr(0, mark)) + (left.empty() ? "" : "?" + left);
}

bool is_request_target(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F || c == '#')
      return false;
  }
  return !text.empty() && text.front() == '/';
}

/// "/../" would lead out of the configured base path, perhaps with the operator's key.
bool has_dot_segment(std::string_view path) {
  path = path.substr(0, path.find('?'));
  std::string segment;
  for (size_t i = 0; i <= path.size(); ++i) {
    const std::string_view three = path.substr(i, 3);
    const bool encoded = three == "%2e" || three == "%2E";
    // Gateways may decode these before they take the path apart.
    const bool divides = three == "%2f" || three == "%2F" || three == "%5c" || three == "%5C";
    if (encoded || divides) i += 2;
    if (i < path.size() && !divides && path[i] != '/' && path[i] != '\\') {
      segment += encoded ? '.' : path[i];
      continue;
    }
    if (segment == "." || segment == "..") return true;
    segment.clear();
  }
  return false;
}

/// Only WebSocket is passed on; an upgrade to HTTP/2 would be between the caller and us.
bool wants_websocket(const Headers& headers) {
  const std::string* upgrade = find_header(headers, "upgrade");
  return upgrade != nullptr && equals_ignoring_case(*upgrade, "websocket");
}

void append_framing(std::string& head, const UpstreamRequest& request) {
  if (request.body_source && !request.body_length) {
    head += "Transfer-Encoding: chunked\r\n";
    return;
  }
  const uint64_t length = request.body_source ? *request.body_length : request.body.size();
  const bool bodiless = request.method == "GET" || request.method == "HEAD" || request.method == "DELETE" ||
                        request.method == "OPTIONS";
  if (length > 0 || !bodiless) head += "Content-Length: " + std::to_string(length) + "\r\n";
}

}  // namespace

bool is_hop_by_hop(std::string_view name) { return is_one_of(name, kHopByHop); }

Result<std::string> make_request_head(const Target& target, const UpstreamRequest& request) {
  std::string path = request.from_root ? std::string() : target.plan.url.path;
  path += without_key_parameters(request.path, target.passes_caller_credential);
  if (path.empty() || path.front() == '?') path.insert(path.begin(), '/');
  if (!is_token(request.method))
    return fail(ErrorCode::kInvalidArgument, "the method of an upstream request is not a token");
  if (!is_request_target(path) || has_dot_segment(path)) {
    return fail(ErrorCode::kInvalidArgument,
                "the path of an upstream request has a character or a dot segment that is not allowed");
  }
  std::string head =
      request.method + " " + path + " HTTP/1.1\r\nHost: " + target.plan.url.host_header() + "\r\n";
  for (const Header& header : request.headers) {
    if (is_left_out(target, request.headers, header)) continue;
    if (!is_token(header.name) || !is_field_value(header.value)) {
      return fail(ErrorCode::kInvalidArgument,
                  "a header of an upstream request has a character that is not allowed");
    }
    head += header.name + ": " + header.value + "\r\n";
  }
  if (!target.settings.api_key.empty()) head += "Authorization: Bearer " + target.settings.api_key + "\r\n";
  if (wants_websocket(request.headers)) head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  append_framing(head, request);
  head += "\r\n";
  return head;
}

}  // namespace enhanced_gptcache::http
