#include "base/ip_network.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::base {
namespace {

bool holds(std::string_view network, std::string_view address) {
  const auto parsed = IpNetwork::parse(network);
  const auto ip = parse_ip(address);
  return parsed && ip && parsed->contains(*ip);
}

TEST(IpNetwork, ContainsWhatItCovers) {
  EXPECT_TRUE(holds("10.0.0.0/8", "10.255.1.2"));
  EXPECT_FALSE(holds("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(holds("192.0.2.128/25", "192.0.2.200"));
  EXPECT_FALSE(holds("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(holds("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(holds("192.0.2.7", "192.0.2.8"));
  EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(holds("0.0.0.0/0", "8.8.8.8"));
  EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(holds("::/0", "8.8.8.8"));
}

TEST(IpNetwork, AnAddressHasOneValueHoweverItIsWritten) {
  EXPECT_TRUE(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
  EXPECT_EQ(parse_ip("192.0.2.1:8080"), parse_ip("192.0.2.1"));
  EXPECT_EQ(parse_ip("[2001:db8::1]:443"), parse_ip("2001:DB8:0::1"));
  EXPECT_EQ(parse_ip("fe80::1%eth0"), parse_ip("fe80::1"));
}

TEST(IpNetwork, RefusesWhatIsNone) {
  for (const char* wrong : {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "2001:db8::/129", "host",
                            "1.2.3.4:80", "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/-1", "[::1]/128", "::1/64"}) {
    EXPECT_FALSE(IpNetwork::parse(wrong)) << wrong;
    EXPECT_NE(check_network(wrong), "") << wrong;
  }
  for (const char* wrong :
       {"", "unknown", "_hidden", "1.2.3", "1.2.3.4:x", "[::1", "[::1]x", "1.2.3.4, 5.6.7.8"})
    EXPECT_FALSE(parse_ip(wrong)) << wrong;
  EXPECT_EQ(check_network("fd00::/8"), "");
}

TEST(IpNetwork, KnowsSpecialAddresses) {
  EXPECT_TRUE(parse_ip("127.1.2.3")->is_loopback());
  EXPECT_TRUE(parse_ip("::1")->is_loopback());
  EXPECT_FALSE(parse_ip("::2")->is_loopback());
  EXPECT_TRUE(parse_ip("169.254.169.254")->is_link_local());
  EXPECT_TRUE(parse_ip("::ffff:169.254.169.254")->is_link_local());
  EXPECT_TRUE(parse_ip("fe80::1")->is_link_local());
  EXPECT_FALSE(parse_ip("fd00::1")->is_link_local());
}

TEST(IpNetwork, LimitsCountAnIpv6CustomerOnce) {
  EXPECT_EQ(parse_ip("2001:db8:1:2:3::1")->limit_key(), parse_ip("2001:db8:1:2:ffff::9")->limit_key());
  EXPECT_NE(parse_ip("2001:db8:1:2::1")->limit_key(), parse_ip("2001:db8:1:3::1")->limit_key());
  EXPECT_NE(parse_ip("192.0.2.1")->limit_key(), parse_ip("192.0.2.2")->limit_key());
}

}  // namespace
}  // namespace enhanced_gptcache::base
