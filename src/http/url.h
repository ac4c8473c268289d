#pragma once
// The few things about URLs that an upstream client needs.

#include <cstdint>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::http {

/// An http or https base address.
struct Url {
  bool tls = false;
  std::string host;  ///< without the brackets of an IPv6 address
  uint16_t port = 0;
  std::string path;      ///< empty or starting with '/', never ending in one
  std::string userinfo;  ///< "user:password" of a proxy, percent-decoded
  /// Value of a Host header: brackets for IPv6, the port when it is not the scheme's.
  std::string host_header() const;
  std::string host_and_port() const;
};

/// kInvalidArgument: not http(s)://host[:port][/path]. `field` names the setting in the message.
/// User information is accepted for proxies only.
Result<Url> parse_url(std::string_view text, std::string_view field, bool is_proxy = false);

/// NO_PROXY: a comma-separated list of "*", host names (which cover their subdomains, with or without a
/// leading dot), addresses, IPv4 or IPv6 networks in CIDR form, each with an optional port.
bool is_excluded_from_proxy(std::string_view no_proxy, const Url& url);

/// Shell wildcards * and ? over the whole text.
bool matches_wildcard(std::string_view pattern, std::string_view text);

}  // namespace enhanced_gptcache::http
