#pragma once
// Are these texts a URL, a proxy, an address we can use? Syntax only; nothing is resolved.

#include <string>
#include <string_view>

namespace enhanced_gptcache::config {

/// Empty when `url` is http(s)://host[:port][/path], else what is wrong. No user, query or fragment.
std::string check_base_url(std::string_view url);
/// Empty when `url` is http://[user:password@]host:port, else what is wrong.
std::string check_proxy_url(std::string_view url);
/// An IP address or a host name: [A-Za-z0-9.:_-], no scheme and no port.
bool is_address(std::string_view text);
/// 127.0.0.0/8, ::1 or localhost.
bool is_loopback(std::string_view address);
/// The URL with its user:password@ replaced.
std::string mask_user(std::string_view url);

}  // namespace enhanced_gptcache::config
