#include "app/access_guard.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::app {
namespace {

struct Ask {
  std::string path = "/cache/entries";
  std::string peer = "127.0.0.1";
  std::vector<http::HeaderView> headers = {{"Host", "127.0.0.1:8080"}};
  std::string body = "{}";
};

/// 0: let through.
int status_of(const Ask& ask, const config::Settings& settings = {}) {
  http::Request request;
  request.path = ask.path;
  request.peer = ask.peer;
  request.headers = ask.headers;
  const std::string length = std::to_string(ask.body.size());
  request.headers.push_back({"Content-Length", length});
  const auto refused = check_access(settings, request);
  if (refused) {
    EXPECT_TRUE(needs_access_check(request));
    EXPECT_FALSE(refused->message.empty());
  }
  return refused ? refused->status : 0;
}

TEST(AccessGuard, AdminIsForThisMachine) {
  for (const char* peer : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "127.3.4.5"})
    EXPECT_EQ(status_of({"/admin/config", peer}), 0) << peer;
  for (const char* peer : {"10.0.0.1", "::ffff:10.0.0.1", "fe80::1", ""})
    for (const char* path : {"/admin/config", "/admin"}) EXPECT_EQ(status_of({path, peer}), 403) << peer;
  for (const char* path : {"/cache/entries", "/v1/models", "/health", "/administrator"})
    EXPECT_EQ(status_of({path, "10.0.0.1"}), 0) << path;
  for (const char* name : {"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"})
    EXPECT_EQ(status_of({"/admin/config", "127.0.0.1", {{"Host", "localhost"}, {name, "10.0.0.1"}}}), 403)
        << name;
}

TEST(AccessGuard, ForeignNamesAreRebinding) {
  config::Settings settings;
  settings.server.allowed_hosts = {"Cache.Example"};
  settings.server.host = "node7";
  for (const char* host : {"127.0.0.1", "127.0.0.1:1", "[::1]:8080", "localhost:8080", "LOCALHOST",
                           "a.localhost", "cache.example:80", "CACHE.EXAMPLE.", "node7:8080"})
    EXPECT_EQ(status_of({"/cache/entries", "127.0.0.1", {{"Host", host}}}, settings), 0) << host;
  for (const char* host : {"attacker.example:8080", "127.0.0.1.attacker.example",
                           "localhost.attacker.example", "", "[::1", "notlocalhost"}) {
    const int expected = std::string_view(host) == "[::1" ? 0 : 421;
    EXPECT_EQ(status_of({"/cache/entries", "127.0.0.1", {{"Host", host}}}, settings), expected) << host;
    EXPECT_EQ(status_of({"/admin/config", "127.0.0.1", {{"Host", host}}}, settings), expected) << host;
    EXPECT_EQ(status_of({"/v1/models", "127.0.0.1", {{"Host", host}}}, settings), 0) << host;
  }
  EXPECT_EQ(status_of({"/cache/entries", "10.0.0.1", {{"Host", "gptcache.svc.cluster.local"}}}), 0);
  EXPECT_EQ(status_of({"/cache/entries", "127.0.0.1", {}}), 0)
      << "HTTP/1.0 needs no Host, and no browser speaks it";
}

TEST(AccessGuard, WebPagesOfOtherOriginsAreRefused) {
  config::Settings settings;
  settings.server.allowed_origins = {"https://console.example"};
  const auto with_origin = [&](const char* path, const char* origin, const char* type = "application/json") {
    return status_of(
        {path, "127.0.0.1", {{"Host", "localhost:8080"}, {"Origin", origin}, {"Content-Type", type}}},
        settings);
  };
  for (const char* path :
       {"/cache/entries", "/admin/config", "/v1/chat/completions", "/openai/deployments/x"}) {
    EXPECT_EQ(with_origin(path, "http://localhost:8080"), 0) << path;
    EXPECT_EQ(with_origin(path, "https://console.example"), 0) << path;
    for (const char* origin :
         {"http://attacker.example", "null", "", "http://localhost:9999", "localhost:8080"})
      EXPECT_EQ(with_origin(path, origin), 403) << path << " " << origin;
  }
  EXPECT_EQ(with_origin("/health", "http://attacker.example"), 0);
  EXPECT_EQ(with_origin("/cache/entries", "http://localhost:8080", "text/plain"), 415);
  EXPECT_EQ(with_origin("/cache/entries", "http://localhost:8080", ""), 415);
  EXPECT_EQ(with_origin("/cache/entries", "http://localhost:8080", "Application/JSON ; charset=utf-8"), 0);
  EXPECT_EQ(with_origin("/v1/files", "http://localhost:8080", "multipart/form-data"), 0);
}

TEST(AccessGuard, ARebindingPageHasEqualHostAndOrigin) {
  EXPECT_EQ(status_of({"/v1/chat/completions",
                       "127.0.0.1",
                       {{"Host", "attacker.example:8080"}, {"Origin", "http://attacker.example:8080"}}}),
            421);
}

}  // namespace
}  // namespace enhanced_gptcache::app
