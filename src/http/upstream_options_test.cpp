#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/upstream.h"

namespace enhanced_gptcache::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(UpstreamOptions, BadOnesAreRefusedWithTheirField) {
  UpstreamOptions options;
  options.default_target.base_url = "ftp://x";
  EXPECT_THAT(UpstreamClient::create(options).error().message, StartsWith("upstream.base_url "));
  options.default_target.base_url = "http://x";
  options.routes.push_back({"m", {"m", "nonsense", ""}, {}});
  EXPECT_THAT(UpstreamClient::create(options).error().message, StartsWith("upstream.routes[0].base_url "));
  options.routes[0] = {"", {"m", "http://a", ""}, {}};
  EXPECT_THAT(UpstreamClient::create(options).error().message, HasSubstr(".model is empty"));
  options.routes[0] = {"m", {"m", "http://a", ""}, {{"f", "http://", ""}}};
  EXPECT_THAT(UpstreamClient::create(options).error().message, HasSubstr(".fallbacks "));
  options.routes.clear();
  options.default_target.api_key = "a\r\nb";
  EXPECT_THAT(UpstreamClient::create(options).error().message, HasSubstr("api_key"));
  options.default_target.api_key = "";
  options.retries_max = 11;
  EXPECT_THAT(UpstreamClient::create(options).error().message,
              HasSubstr("retries_max is 11, allowed are 0 to 10"));
  options.retries_max = 0;
  options.https_proxy = "https://p";
  EXPECT_THAT(UpstreamClient::create(options).error().message, HasSubstr("HTTPS_PROXY"));
  options.https_proxy = "";
  options.ca_file = "/nonexistent.pem";
  EXPECT_THAT(UpstreamClient::create(options).error().message, HasSubstr("/nonexistent.pem"));
}

}  // namespace
}  // namespace enhanced_gptcache::http
