#pragma once
// IP addresses and networks in CIDR form (RFC 4632, RFC 4291), for allow-lists and trusted proxies.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::base {

/// An address as 16 bytes; IPv4 is kept as ::ffff:a.b.c.d, so that one form has one value.
struct IpAddress {
  std::array<unsigned char, 16> bytes{};
  bool is_v4() const;
  bool is_loopback() const;
  /// 169.254.0.0/16 and fe80::/10: where clouds keep their metadata services.
  bool is_link_local() const;
  /// Text for limits: the address itself, of IPv6 the /64 that one customer has.
  std::string limit_key() const;
  std::string text() const;  ///< 192.0.2.1 or 2001:db8::1
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

/// "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"; also "[2001:db8::1]" and with ":port" or a zone, as
/// proxies write them. Anything else: none.
std::optional<IpAddress> parse_ip(std::string_view text);

class IpNetwork {
 public:
  /// "10.0.0.0/8", "2001:db8::/32" or one address. Bits below the prefix must be zero.
  static std::optional<IpNetwork> parse(std::string_view text);
  bool contains(const IpAddress& address) const;

 private:
  IpAddress base_;
  unsigned prefix_ = 128;
};

/// Empty, or what is wrong with `text` as a network.
std::string check_network(std::string_view text);
/// Those of `texts` that are networks.
std::vector<IpNetwork> parse_networks(const std::vector<std::string>& texts);
bool contains(const std::vector<IpNetwork>& networks, const IpAddress& address);

}  // namespace enhanced_gptcache::base
