#include "base/ip_network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace enhanced_gptcache::base {
namespace {

constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/// Without a port, brackets or a zone.
std::string bare(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == text.npos) return {};
    const std::string_view after = text.substr(end + 1);
    const bool port = after.empty() || (after.size() > 1 && after[0] == ':' &&
                                        after.find_first_not_of("0123456789", 1) == after.npos);
    if (!port) return {};
    text = text.substr(1, end - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const size_t colon = text.find(':');
    if (text.find_first_not_of("0123456789", colon + 1) != text.npos) return {};
    text = text.substr(0, colon);
  }
  return std::string(text.substr(0, text.find('%')));
}

}  // namespace

bool IpAddress::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes[12] == 127;
  return bytes[15] == 1 &&
         std::all_of(bytes.begin(), bytes.end() - 1, [](unsigned char b) { return b == 0; });
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes[12] == 169 && bytes[13] == 254;
  return bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80;
}

std::string IpAddress::limit_key() const {
  const size_t from = is_v4() ? 12 : 0;
  const size_t count = is_v4() ? 4 : 8;
  return std::string(reinterpret_cast<const char*>(bytes.data()) + from, count);
}

std::string IpAddress::text() const {
  char shown[INET6_ADDRSTRLEN] = {};
  const bool short_form = is_v4();
  ::inet_ntop(short_form ? AF_INET : AF_INET6, bytes.data() + (short_form ? 12 : 0), shown, sizeof shown);
  return shown;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  const std::string plain = bare(text);
  IpAddress address;
  if (::inet_pton(AF_INET, plain.c_str(), address.bytes.data() + 12) == 1) {
    std::copy(kMapped.begin(), kMapped.end(), address.bytes.begin());
    return address;
  }
  if (::inet_pton(AF_INET6, plain.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  // In a list of networks a port or a zone is a mistake.
  if (host.find_first_of("[]%") != host.npos || (host.find('.') != host.npos && bare(host) != host))
    return std::nullopt;
  const auto base = parse_ip(host);
  if (!base) return std::nullopt;
  IpNetwork network;
  network.base_ = *base;
  const bool v4 = host.find(':') == host.npos;
  if (slash != text.npos) {
    unsigned bits = 0;
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits > (v4 ? 32U : 128U))
      return std::nullopt;
    network.prefix_ = v4 ? bits + 96 : bits;
  }
  for (unsigned bit = network.prefix_; bit < 128; ++bit)
    if ((base->bytes[bit / 8] >> (7 - bit % 8)) & 1U) return std::nullopt;
  return network;
}

bool IpNetwork::contains(const IpAddress& address) const {
  const unsigned whole = prefix_ / 8;
  if (std::memcmp(base_.bytes.data(), address.bytes.data(), whole) != 0) return false;
  const unsigned rest = prefix_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xFF00U >> rest);
  return ((base_.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
}

std::string check_network(std::string_view text) {
  if (IpNetwork::parse(text)) return {};
  return "must be an IP address or a network such as 10.0.0.0/8 or 2001:db8::/32, with no bit set below the "
         "prefix";
}

std::vector<IpNetwork> parse_networks(const std::vector<std::string>& texts) {
  std::vector<IpNetwork> networks;
  for (const std::string& text : texts)
    if (auto network = IpNetwork::parse(text)) networks.push_back(*network);
  return networks;
}

bool contains(const std::vector<IpNetwork>& networks, const IpAddress& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&address](const IpNetwork& network) { return network.contains(address); });
}

}  // namespace enhanced_gptcache::base
