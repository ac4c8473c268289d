#include "http/breaker.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::http {
namespace {

TEST(Breaker, OpensAfterFailuresInARowAndLetsOneProbeThrough) {
  Breaker breaker;
  breaker.configure(3, 1000);
  bool probe = false;
  breaker.failed(0);
  breaker.failed(0);
  breaker.succeeded();
  breaker.failed(0);
  breaker.failed(0);
  EXPECT_TRUE(breaker.allow(0, probe)) << "a success in between starts the count again";
  EXPECT_FALSE(probe);
  breaker.failed(0);
  EXPECT_EQ(breaker.state(), Breaker::State::kOpen);
  EXPECT_FALSE(breaker.allow(999, probe));
  EXPECT_EQ(breaker.wait_us(400), 600);
  EXPECT_TRUE(breaker.allow(1000, probe));
  EXPECT_TRUE(probe);
  EXPECT_EQ(breaker.state(), Breaker::State::kHalfOpen);
  bool second = false;
  EXPECT_FALSE(breaker.allow(1000, second)) << "one probe at a time";
  breaker.succeeded();
  EXPECT_EQ(breaker.state(), Breaker::State::kClosed);
  EXPECT_EQ(breaker.wait_us(1000), 0);
}

TEST(Breaker, AFailedProbeOpensItAgainAndAWithdrawnOneFreesThePlace) {
  Breaker breaker;
  breaker.configure(1, 1000);
  breaker.failed(0);
  bool probe = false;
  EXPECT_TRUE(breaker.allow(1000, probe));
  breaker.failed(1000);
  EXPECT_FALSE(breaker.allow(1999, probe));
  EXPECT_TRUE(breaker.allow(2000, probe));
  breaker.withdrawn();
  EXPECT_EQ(breaker.state(), Breaker::State::kOpen);
  EXPECT_TRUE(breaker.allow(2000, probe));
}

TEST(Breaker, LateFailuresDoNotExtendThePause) {
  Breaker breaker;
  breaker.configure(1, 1000);
  breaker.failed(0);
  breaker.failed(900);
  bool probe = false;
  EXPECT_TRUE(breaker.allow(1000, probe));
}

}  // namespace
}  // namespace enhanced_gptcache::http
