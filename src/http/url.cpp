#include "http/url.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <charconv>

#include "http/head_parser.h"

namespace enhanced_gptcache::http {
namespace {

namespace ip = boost::asio::ip;

tl::unexpected<Error> bad_url(std::string_view field, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, std::string(field) + " " + std::string(why));
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool parse_port(std::string_view text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

/// Splits "host", "host:port", "[v6]" and "[v6]:port". False: malformed.
bool split_host_port(std::string_view text, std::string& host, std::string_view& port) {
  port = {};
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    if (!text.empty() && text.front() != ':') return false;
    if (!text.empty()) port = text.substr(1);
    return true;
  }
  const size_t colon = text.find(':');
  host = text.substr(0, colon);
  if (colon != std::string_view::npos) port = text.substr(colon + 1);
  return true;
}

bool is_host_text(std::string_view host) {
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '@' || c == '\\' || c == '"') return false;
  }
  return !host.empty();
}

bool in_network(const std::string& entry, const std::string& host) {
  boost::system::error_code error;
  const auto address = ip::make_address(host, error);
  if (error) return false;
  if (address.is_v4()) {
    const auto network = ip::make_network_v4(entry, error);
    return !error &&
           network.canonical() == ip::network_v4(address.to_v4(), network.prefix_length()).canonical();
  }
  const auto network = ip::make_network_v6(entry, error);
  return !error &&
         network.canonical() == ip::network_v6(address.to_v6(), network.prefix_length()).canonical();
}

bool covers_host(std::string_view entry, std::string_view host) {
  while (entry.starts_with('.') || entry.starts_with("*.")) entry.remove_prefix(entry.front() == '*' ? 2 : 1);
  if (entry.empty() || entry.size() > host.size()) return false;
  if (!equals_ignoring_case(host.substr(host.size() - entry.size()), entry)) return false;
  return host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.';
}

bool excludes(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string_view::npos) return in_network(std::string(entry), url.host);
  boost::system::error_code error;
  const auto address = ip::make_address(std::string(entry), error);
  if (!error) return address.to_string() == url.host;
  std::string host;
  std::string_view port;
  if (!split_host_port(entry, host, port)) return false;
  uint16_t number = 0;
  if (!port.empty() && (!parse_port(port, number) || number != url.port)) return false;
  return covers_host(host, url.host);
}

}  // namespace

std::string Url::host_and_port() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Url::host_header() const {
  const std::string full = host_and_port();
  const std::string_view usual = tls ? ":443" : ":80";
  return full.ends_with(usual) && port == (tls ? 443 : 80) ? full.substr(0, full.size() - usual.size())
                                                           : full;
}

Result<Url> parse_url(std::string_view text, std::string_view field, bool is_proxy) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (!is_proxy || rest.find("://") != std::string_view::npos) {
    return bad_url(field, "must start with http:// or https://");
  }
  const size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (text.find_first_of("?#") != std::string_view::npos)
    return bad_url(field, "must not have a query or a fragment");
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (!is_proxy) return bad_url(field, "must not have a user name or password; use api_key");
    url.userinfo = percent_decoded(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (!split_host_port(authority, url.host, port) || !is_host_text(url.host)) {
    return bad_url(field, "has no valid host name");
  }
  for (const char c : url.path) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) {
      return bad_url(field, "has a character in its path that must be percent-encoded");
    }
  }
  url.port = url.tls ? 443 : 80;
  if (!port.empty() && !parse_port(port, url.port))
    return bad_url(field, "has a port that is not 1 to 65535");
  return url;
}

bool is_excluded_from_proxy(std::string_view no_proxy, const Url& url) {
  while (!no_proxy.empty()) {
    const size_t comma = no_proxy.find(',');
    std::string_view entry = no_proxy.substr(0, comma);
    while (entry.starts_with(' ')) entry.remove_prefix(1);
    while (entry.ends_with(' ')) entry.remove_suffix(1);
    if (!entry.empty() && excludes(entry, url)) return true;
    if (comma == std::string_view::npos) return false;
    no_proxy.remove_prefix(comma + 1);
  }
  return false;
}

bool matches_wildcard(std::string_view pattern, std::string_view text) {
  // Greedy with one level of backtracking: linear for one star, quadratic at worst.
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace enhanced_gptcache::http
