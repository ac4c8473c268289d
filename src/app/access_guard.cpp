#include "app/access_guard.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "app/options_from_settings.h"
#include "base/canonical_json.h"

namespace enhanced_gptcache::app {
namespace {

constexpr size_t kShownBytesMax = 100;

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string shown(std::string_view text) {
  return base::json_string(base::repair_utf8(text.substr(0, kShownBytesMax)));
}

bool is_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

bool is_ours(std::string_view path) { return is_below(path, "/admin") || is_below(path, "/cache"); }
bool is_provider_api(std::string_view path) { return is_below(path, "/v1") || is_below(path, "/openai"); }

/// An IPv4 address in an IPv6 socket is ::ffff:127.0.0.1.
bool is_loopback_peer(std::string_view peer) {
  if (peer.starts_with("::ffff:")) peer.remove_prefix(7);
  return is_loopback(std::string(peer));
}

/// "name:80" and "[::1]:80" without the port and the brackets, lower case.
std::string host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return lower_case(authority.substr(1, end == authority.npos ? authority.npos : end - 1));
  }
  return lower_case(authority.substr(0, authority.find(':')));
}

bool is_ip_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

/// A name that no stranger can point at this server: rebinding needs a name of the attacker's own.
bool is_known_host(const config::Settings& settings, std::string_view authority) {
  std::string host = host_of(authority);
  if (host.ends_with('.')) host.pop_back();
  if (host == "localhost" || host.ends_with(".localhost") || is_ip_address(host)) return true;
  if (host == lower_case(settings.server.host)) return true;
  return std::any_of(settings.server.allowed_hosts.begin(), settings.server.allowed_hosts.end(),
                     [&host](const std::string& allowed) { return lower_case(allowed) == host; });
}

bool is_listed_origin(const config::Settings& settings, std::string_view origin) {
  const std::string wanted = lower_case(origin);
  return std::any_of(settings.server.allowed_origins.begin(), settings.server.allowed_origins.end(),
                     [&wanted](const std::string& allowed) { return lower_case(allowed) == wanted; });
}

bool is_same_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != origin.npos && lower_case(origin.substr(scheme + 3)) == lower_case(host);
}

std::optional<AccessRefusal> check_admin_peer(const http::Request& request) {
  if (!is_loopback_peer(request.peer)) {
    return AccessRefusal{403,
                         fmt::format("/admin is answered only for callers on this machine while security is "
                                     "off, and this call came from {}; run it on the server itself",
                                     request.peer)};
  }
  // A proxy on this machine makes everybody's calls look local.
  for (const char* name : {"x-forwarded-for", "forwarded", "x-real-ip", "via"}) {
    if (request.has(name)) {
      return AccessRefusal{403,
                           fmt::format("/admin is answered only for callers on this machine while security "
                                       "is off, and the header {} says that this call came through a proxy",
                                       name)};
    }
  }
  return std::nullopt;
}

std::optional<AccessRefusal> check_host(const config::Settings& settings, const http::Request& request) {
  // Whoever opened the port to other machines has names for it that are not known here, a service's for one.
  if (!is_loopback_peer(request.peer)) return std::nullopt;
  if (!request.has("host") || is_known_host(settings, request.header("host"))) return std::nullopt;
  return AccessRefusal{421,
                       fmt::format("the Host {} is no known name of this server (known are IP addresses, "
                                   "localhost and server.host); list it in server.allowed_hosts",
                                   shown(request.header("host")))};
}

std::optional<AccessRefusal> check_origin(const config::Settings& settings, const http::Request& request) {
  const std::string_view origin = request.header("origin");
  if (is_listed_origin(settings, origin)) return std::nullopt;
  if (!is_same_origin(origin, request.header("host"))) {
    return AccessRefusal{403,
                         fmt::format("a web page of another origin ({}) may not call this server; list it in "
                                     "server.allowed_origins",
                                     shown(origin))};
  }
  return check_host(settings, request);
}

/// The body itself may not have come yet.
bool has_body(const http::Request& request) {
  const std::string_view length = request.header("content-length");
  return request.has("transfer-encoding") || (!length.empty() && length != "0");
}

bool is_json(std::string_view content_type) {
  std::string type = lower_case(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  return type == "application/json";
}

}  // namespace

bool needs_access_check(const http::Request& request) {
  return is_ours(request.path) || (is_provider_api(request.path) && request.has("origin"));
}

std::optional<AccessRefusal> check_access(const config::Settings& settings, const http::Request& request) {
  const bool ours = is_ours(request.path);
  const bool from_page = request.has("origin");
  if (!ours && !(from_page && is_provider_api(request.path))) return std::nullopt;
  if (is_below(request.path, "/admin"))
    if (auto refused = check_admin_peer(request)) return refused;
  if (ours)
    if (auto refused = check_host(settings, request)) return refused;
  if (!from_page) return std::nullopt;
  if (auto refused = check_origin(settings, request)) return refused;
  // Other types can be sent by a form, without the browser asking first.
  if (ours && has_body(request) && !is_json(request.header("content-type"))) {
    return AccessRefusal{415, fmt::format("a web page must send application/json, not {}",
                                          shown(request.header("content-type")))};
  }
  return std::nullopt;
}

}  // namespace enhanced_gptcache::app
