#include "base/hmac.h"

#include <gtest/gtest.h>

#include <string>

namespace enhanced_gptcache::base {
namespace {

// RFC 4231, test cases 1, 2 and 6 (a key longer than a block).
TEST(Hmac, PublishedVectors) {
  EXPECT_EQ(to_hex(HmacSha256(std::string(20, '\x0b')).compute("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(HmacSha256("Jefe").compute("what do ya want ", "for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(HmacSha256(std::string(131, '\xaa'))
                       .compute("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, OneKeyServesManyMessages) {
  const HmacSha256 keyed("key");
  EXPECT_EQ(keyed.compute("a"), keyed.compute("a"));
  EXPECT_NE(keyed.compute("a"), keyed.compute("b"));
}

TEST(Hmac, ConstantTimeEquality) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abcd"));
}

}  // namespace
}  // namespace enhanced_gptcache::base
