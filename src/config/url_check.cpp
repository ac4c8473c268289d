#include "config/url_check.h"

#include <arpa/inet.h>

#include <charconv>

#include "config/problem.h"

namespace enhanced_gptcache::config {
namespace {

bool is_visible_ascii(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f) return false;
  }
  return true;
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

/// host, host:port or [v6]:port.
std::string check_host_port(std::string_view authority, bool port_required) {
  std::string_view host = authority;
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return "[ without ]";
    host = authority.substr(1, close - 1);
    std::string_view rest = authority.substr(close + 1);
    in6_addr unused{};
    if (inet_pton(AF_INET6, std::string(host).c_str(), &unused) != 1)
      return "no IPv6 address between [ and ]";
    has_port = rest.starts_with(':');
    if (!has_port && !rest.empty()) return "text after ]";
    if (has_port) port = rest.substr(1);
  } else if (const size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    has_port = true;
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) return "an IPv6 address needs [ and ]";
  }
  if (!is_address(host)) return "no valid host name";
  if (has_port && !is_port(port)) return "the port must be 1 to 65535";
  return port_required && !has_port ? "the port is missing" : "";
}

/// One spelling of each numeric address, an IPv4 address mapped into IPv6 as itself, localhost as the address
/// it stands for; other names in lower case.
std::string canonical(std::string_view host) {
  std::string text(host);
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (text.ends_with('.')) text.pop_back();
  if (text == "localhost") return "127.0.0.1";
  char shown[INET6_ADDRSTRLEN] = {};
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return inet_ntop(AF_INET, &v6.s6_addr[12], shown, sizeof shown);
  return inet_ntop(AF_INET6, &v6, shown, sizeof shown);
}

bool is_unspecified(std::string_view canonical_host) {
  return canonical_host == "0.0.0.0" || canonical_host == "::";
}

}  // namespace

bool is_address(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  return text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:_-") ==
         std::string_view::npos;
}

bool is_loopback(std::string_view address) {
  const std::string text = canonical(address);
  in_addr v4{};
  return inet_pton(AF_INET, text.c_str(), &v4) == 1 ? (ntohl(v4.s_addr) >> 24U) == 127 : text == "::1";
}

bool is_this_machine(std::string_view host) { return is_loopback(host) || is_unspecified(canonical(host)); }

bool reaches(std::string_view host, std::string_view listens_on) {
  std::string called = canonical(host), own = canonical(listens_on);
  if (is_unspecified(own)) return is_this_machine(called);
  // To connect to the unspecified address is to connect to loopback.
  if (is_unspecified(called)) called = called == "::" ? "::1" : "127.0.0.1";
  return called == own;
}

Authority parse_authority(std::string_view url) {
  const size_t scheme = url.find("://");
  std::string_view rest = scheme == url.npos ? url : url.substr(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  Authority out;
  out.port = url.starts_with("https://") ? 443 : 80;
  const size_t close = rest.starts_with('[') ? rest.find(']') : rest.npos;
  const size_t colon = close == rest.npos ? rest.rfind(':') : rest.find(':', close);
  out.host = close == rest.npos ? rest.substr(0, colon) : rest.substr(1, close - 1);
  if (colon != rest.npos) std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), out.port);
  return out;
}

std::string check_base_url(std::string_view url) {
  if (!is_visible_ascii(url)) return "blanks and non-ASCII characters must be percent-encoded";
  size_t start = 0;
  if (url.starts_with("https://")) start = 8;
  if (url.starts_with("http://")) start = 7;
  if (start == 0) return "must begin with http:// or https://";
  if (url.find_first_of("?#") != std::string_view::npos) return "must not have ? or #";
  const std::string_view authority = url.substr(start, url.find('/', start) - start);
  if (authority.find('@') != std::string_view::npos) return "must not hold user:password; use api_key";
  return check_host_port(authority, false);
}

std::string check_proxy_url(std::string_view url) {
  if (!is_visible_ascii(url)) return "blanks and non-ASCII characters must be percent-encoded";
  if (!url.starts_with("http://")) return "must begin with http://";
  std::string_view rest = url.substr(7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t at = rest.rfind('@');
  if (at != std::string_view::npos) rest.remove_prefix(at + 1);
  return check_host_port(rest, true);
}

std::string mask_user(std::string_view url) {
  const size_t at = url.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  const size_t slashes = url.find("//");
  const size_t start = slashes == std::string_view::npos || slashes > at ? 0 : slashes + 2;
  return std::string(url.substr(0, start)) + kMasked + std::string(url.substr(at));
}

}  // namespace enhanced_gptcache::config
