#include "http/router.h"

#include <gtest/gtest.h>

#include "http/response_head.h"

namespace enhanced_gptcache::http {
namespace {

class RouterTest : public testing::Test {
 protected:
  void add(const std::string& method, const std::string& path) {
    router_.add(method, path, [](const ExchangePtr&) {}, {});
  }
  std::string pattern(std::string_view method, std::string_view path) {
    match_ = router_.match(method, path);
    if (match_.route == nullptr) return "";
    return match_.route->path + (match_.route->prefix ? "*" : "");
  }
  Router router_;
  Router::Match match_;
};

TEST_F(RouterTest, TheLongestMatchThatTakesTheMethodWins) {
  add("*", "/v1/*");
  add("POST", "/v1/chat");
  add("*", "/*");
  add("GET", "/v1/files/*");
  EXPECT_EQ(pattern("POST", "/v1/chat"), "/v1/chat");
  EXPECT_EQ(pattern("GET", "/v1/chat"), "/v1/*")
      << "an exact path leaves other methods to a pass-through prefix";
  EXPECT_EQ(pattern("GET", "/v1/files/1"), "/v1/files/*");
  EXPECT_EQ(pattern("DELETE", "/v1/files/1"), "/v1/*");
  EXPECT_EQ(pattern("GET", "/other"), "/*");
}

TEST_F(RouterTest, AKnownPathWithAnotherMethodNamesTheOnesItTakes) {
  add("GET", "/a");
  add("POST", "/a");
  EXPECT_EQ(pattern("HEAD", "/a"), "/a");
  EXPECT_EQ(pattern("PUT", "/a"), "");
  EXPECT_NE(match_.allow.find("GET"), std::string::npos);
  EXPECT_NE(match_.allow.find("HEAD"), std::string::npos);
  EXPECT_NE(match_.allow.find("POST"), std::string::npos);
  EXPECT_EQ(pattern("PUT", "/b"), "");
  EXPECT_EQ(match_.allow, "");
  router_.set_fallback([](const ExchangePtr&) {}, {});
  EXPECT_EQ(pattern("PUT", "/b"), "/*");
  EXPECT_EQ(pattern("PUT", "/a"), "") << "405 comes before the fallback";
}

TEST(ResponseHeadText, WritesOursAndRefusesInjection) {
  std::string out;
  ResponseFraming framing;
  framing.content_length = 5;
  framing.close = true;
  append_response_head(out, 201,
                       {{"X-A", "b"},
                        {"X-Evil", "a\r\nSet-Cookie: x"},
                        {"Bad Name", "x"},
                        {"Content-Length", "7"},
                        {"Transfer-Encoding", "chunked"},
                        {"connection", "keep-alive"},
                        {"Keep-Alive", "5"},
                        {"Date", "never"},
                        {"Upgrade", "x"},
                        {"Proxy-Connection", "x"}},
                       framing, "Date: D\r\n");
  EXPECT_EQ(out,
            "HTTP/1.1 201 Created\r\nDate: D\r\nX-A: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
}

TEST(ResponseHeadText, UpgradesAndOldClients) {
  std::string out;
  ResponseFraming framing;
  framing.upgrade = true;
  framing.close = true;
  append_response_head(out, 101, {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}, framing, "");
  EXPECT_EQ(out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  out.clear();
  ResponseFraming old;
  old.keep_alive_line = true;
  old.chunked = true;
  append_response_head(out, 299, {}, old, "");
  EXPECT_EQ(out, "HTTP/1.1 299 Unknown\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n");
}

TEST(DateLineText, IsTheHttpDateOfTheSecond) {
  DateLine line;
  EXPECT_EQ(line.at(784111777), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  EXPECT_EQ(line.at(784111777), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  EXPECT_EQ(line.at(784111778), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
}

TEST(Statuses, WithoutBody) {
  for (const int status : {100, 101, 204, 304}) EXPECT_FALSE(status_has_body(status));
  for (const int status : {200, 206, 404, 500}) EXPECT_TRUE(status_has_body(status));
}

}  // namespace
}  // namespace enhanced_gptcache::http
