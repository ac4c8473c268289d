#include "http/url.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

namespace enhanced_gptcache::http {
namespace {

TEST(Url, ReadsItsParts) {
  const auto plain = parse_url("http://localhost:8081/v1/", "f");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->host, "localhost");
  EXPECT_EQ(plain->port, 8081);
  EXPECT_EQ(plain->path, "/v1");
  EXPECT_EQ(plain->host_header(), "localhost:8081");
  const auto secure = parse_url("https://api.openai.com/v1", "f");
  ASSERT_TRUE(secure);
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(secure->port, 443);
  EXPECT_EQ(secure->host_header(), "api.openai.com");
  EXPECT_EQ(secure->host_and_port(), "api.openai.com:443");
  const auto v6 = parse_url("http://[::1]:80", "f");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->host_header(), "[::1]");
  const auto proxy = parse_url("user:p%40ss@proxy:3128", "f", true);
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->userinfo, "user:p@ss");
  EXPECT_EQ(proxy->port, 3128);
}

TEST(Url, RefusesWhatItCannotUseAndNamesTheField) {
  for (const char* text : {"", "api.openai.com", "ftp://a", "http://", "http://:80", "http://a:0",
                           "http://a:65536", "http://a:x", "http://a?b=c", "http://a/#f", "http://u:p@a",
                           "http://a b", "http://[::1", "http://[::1]x", "http://a/\x80"}) {
    const auto url = parse_url(text, "upstream.base_url");
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(url.error().message.rfind("upstream.base_url ", 0), 0U) << url.error().message;
  }
}

TEST(NoProxy, CoversNamesAddressesAndNetworks) {
  const std::tuple<const char*, const char*, bool> table[] = {
      {"*", "https://a.b", true},
      {"", "https://a.b", false},
      {"b.c", "https://b.c", true},
      {"b.c", "https://a.b.c", true},
      {".b.c", "https://a.b.c", true},
      {"*.b.c", "https://a.b.c", true},
      {"b.c", "https://ab.c", false},
      {"x.y, B.C ,", "https://b.c", true},
      {"b.c:443", "https://b.c", true},
      {"b.c:444", "https://b.c", false},
      {"b.c:x", "https://b.c", false},
      {"10.0.0.0/8", "https://10.1.2.3", true},
      {"10.0.0.0/8", "https://11.1.2.3", false},
      {"10.0.0.0/8", "https://name", false},
      {"fd00::/8", "https://[fd00::1]", true},
      {"fd00::/8", "https://[fe00::1]", false},
      {"127.0.0.1", "https://127.0.0.1", true},
      {"::1", "https://[::1]", true},
      {"[::1", "https://b.c", false},
  };
  for (const auto& [list, text, expected] : table) {
    const auto url = parse_url(text, "f");
    ASSERT_TRUE(url) << text;
    EXPECT_EQ(is_excluded_from_proxy(list, *url), expected) << list << " " << text;
  }
}

TEST(Wildcard, Matches) {
  const std::tuple<const char*, const char*, bool> table[] = {
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"claude-*", "claude-3", true},
      {"claude-*", "xclaude-3", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"*mini*", "gpt-4o-mini-2024", true},
      {"a*b*c", "aXbXbXc", true},
      {"a*b*c", "aXbX", false},
      {"**", "abc", true},
      {"a*", "a", true},
  };
  for (const auto& [pattern, text, expected] : table)
    EXPECT_EQ(matches_wildcard(pattern, text), expected) << pattern << text;
}

}  // namespace
}  // namespace enhanced_gptcache::http
