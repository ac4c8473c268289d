// What a request gets when the embedder has no time for its question, by embedder.overload.

#include <gtest/gtest.h>

#include "proxy/proxy_fixture.h"

namespace enhanced_gptcache::proxy {
namespace {

class OverloadTest : public ProxyTest {
 protected:
  void SetUp() override {
    // An empty partition needs no embedding.
    ask("Why is the sky blue?");
    embedder_->fail_all(true, ErrorCode::kOverloaded);
  }
};

TEST_F(OverloadTest, GoesUpstreamUnlessToldOtherwise) {
  const ExchangePtr answered = ask("How deep is the sea?");
  EXPECT_EQ(answered->status, 200);
  EXPECT_EQ(answered->header("X-Cache-Reason"), "embedder_overloaded");
  EXPECT_EQ(content(answered), "answer 2");
  // Learned for exact match.
  const ExchangePtr again = ask("How deep is the sea?");
  EXPECT_EQ(again->header("X-Cache"), "HIT");
  EXPECT_EQ(content(again), "answer 2");
}

TEST_F(OverloadTest, ShedsWithRetryAfterAndServesExactHits) {
  ProxyOptions options;
  options.shed_overload = true;
  remake(options);
  const ExchangePtr shed = ask("How deep is the sea?");
  EXPECT_EQ(shed->status, 503);
  EXPECT_EQ(shed->header("Retry-After"), "1");
  EXPECT_EQ(shed->header("X-Cache-Reason"), "embedder_overloaded");
  EXPECT_NE(shed->answer_body.find(R"("code":"embedder_overloaded")"), std::string::npos);
  EXPECT_EQ(answers_, 1) << "nothing went upstream";
  EXPECT_EQ(ask("Why is the sky blue?")->header("X-Cache"), "HIT");
}

TEST_F(OverloadTest, ABrokenModelIsNoReasonToShed) {
  ProxyOptions options;
  options.shed_overload = true;
  remake(options);
  embedder_->fail_all(true, ErrorCode::kInternal);
  const ExchangePtr answered = ask("How deep is the sea?");
  EXPECT_EQ(answered->status, 200);
  EXPECT_EQ(answered->header("X-Cache-Reason"), "ineligible");
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
