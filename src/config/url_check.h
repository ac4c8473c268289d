#pragma once
// Are these texts a URL, a proxy, an address we can use? Syntax only; nothing is resolved.

#include <cstdint>
#include <string>
#include <string_view>

namespace enhanced_gptcache::config {

/// Empty when `url` is http(s)://host[:port][/path], else what is wrong. No user, query or fragment.
std::string check_base_url(std::string_view url);
/// Empty when `url` is http://[user:password@]host:port, else what is wrong.
std::string check_proxy_url(std::string_view url);
/// An IP address or a host name: [A-Za-z0-9.:_-], no scheme and no port.
bool is_address(std::string_view text);
/// 127.0.0.0/8, ::1, the first mapped into IPv6 (::ffff:127.0.0.1) or localhost; no brackets.
bool is_loopback(std::string_view address);
/// Calls to this host do not leave the machine: a loopback address, or the unspecified one (0.0.0.0, ::).
bool is_this_machine(std::string_view host);
/// Would a call to `host` come to a server that listens on the address `listens_on`? Only for what needs no
/// look-up: loopback and unspecified addresses, and equal texts.
bool reaches(std::string_view host, std::string_view listens_on);

/// Host and port of a URL that check_base_url() takes.
struct Authority {
  std::string host;  ///< an IPv6 address without its brackets
  int64_t port = 0;  ///< 80 or 443 where none is given
};
Authority parse_authority(std::string_view url);
/// The URL with its user:password@ replaced.
std::string mask_user(std::string_view url);

}  // namespace enhanced_gptcache::config
