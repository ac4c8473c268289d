#include "proxy/controls.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/request_fields.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

ApiResult<Controls> read(std::vector<http::HeaderView> headers, std::string_view body = "",
                         ControlRules rules = {}) {
  return read_controls(headers, body, rules);
}

/// Everything that was set, in one line.
std::string describe(const ApiResult<Controls>& result) {
  if (!result) return "error: " + result.error().message;
  const Controls& c = *result;
  std::string out;
  if (c.no_cache) out += "no_cache ";
  if (c.no_store) out += "no_store ";
  if (c.only_if_cached) out += "only_if_cached ";
  if (c.type != CacheType::kAll) out += fmt::format("type={} ", static_cast<int>(c.type));
  if (c.age_max_ms) out += fmt::format("age={} ", *c.age_max_ms);
  if (c.ttl_ms) out += fmt::format("ttl={} ", *c.ttl_ms);
  if (c.threshold) out += fmt::format("threshold={} ", *c.threshold);
  if (!c.name_space.empty()) out += "namespace=" + c.name_space + " ";
  if (!c.subject.empty()) out += "subject=" + c.subject + " ";
  if (!c.query.empty()) out += "query=" + c.query + " ";
  for (const std::string& tag : c.tags) out += "tag=" + tag + " ";
  if (!out.empty()) out.pop_back();
  return out;
}

TEST(Controls, EveryHeaderAndAlias) {
  struct Case {
    const char* name;
    const char* value;
    const char* expected;
  };
  const Case cases[] = {
      {"X-Cache-Control", "no-cache", "no_cache"},
      {"x-cache-control", "No-Store , max-age=60,ttl=5m", "no_store age=60000 ttl=300000"},
      {"X-Cache-Control", "only-if-cached", "only_if_cached"},
      {"X-Cache-Control", "max-age=0", "age=0"},
      {"X-Cache-Control", "", ""},
      {"X-Cache-TTL", "60", "ttl=60000"},
      {"X-Cache-TTL", " 2h ", "ttl=7200000"},
      {"X-Cache-Namespace", "docs/v2 \xC3\xA9", "namespace=docs/v2 \xC3\xA9"},
      {"X-Cache-Threshold", "0.95", "threshold=0.95"},
      {"X-Cache-Type", "exact", "type=1"},
      {"X-Cache-Type", "SEMANTIC", "type=2"},
      {"X-Cache-Type", "off", "type=3"},
      {"X-Cache-Tags", "a, b ,c", "tag=a tag=b tag=c"},
      {"X-Cache-Subject", "user-7", "subject=user-7"},
      {"X-Cache-Query", "What is it?", "query=What is it?"},
      {"x-portkey-cache-force-refresh", "true", "no_cache"},
      {"x-portkey-cache-force-refresh", "False", ""},
      {"x-portkey-cache-namespace", "n", "namespace=n"},
      {"x-bf-cache-key", "k", "namespace=k"},
      {"x-bf-cache-ttl", "30s", "ttl=30000"},
      {"x-bf-cache-threshold", "1", "threshold=1"},
      {"x-bf-cache-type", "direct", "type=1"},
      {"x-bf-cache-no-store", "true", "no_store"},
      {"cf-aig-skip-cache", "true", "type=3"},
      {"cf-aig-skip-cache", "0", ""},
      {"cf-aig-cache-ttl", "3600", "ttl=3600000"},
      {"cf-aig-cache-key", "k2", "namespace=k2"},
      {"Helicone-Cache-Enabled", "false", "type=3"},
      {"Helicone-Cache-Enabled", "true", ""},
      {"Helicone-Cache-Seed", "s", "namespace=s"},
      {"Cache-Control", "no-cache", ""},
      {"X-Custom", "no-cache", ""},
      {"", "x", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(describe(read({{c.name, c.value}})), c.expected) << c.name;
}

TEST(Controls, PlainCacheControlOnlyWhenConfigured) {
  ControlRules rules;
  rules.honour_cache_control = true;
  EXPECT_EQ(describe(read({{"Cache-Control", "no-transform, no-cache, max-stale=3"}}, "", rules)),
            "no_cache");
  EXPECT_EQ(describe(read({{"Cache-Control", "max-age=9"}}, "", rules)), "age=9000");
  EXPECT_FALSE(is_control_header("Cache-Control"));
  EXPECT_TRUE(is_control_header("X-CACHE-TTL"));
  EXPECT_FALSE(is_control_header("Content-Type"));
  EXPECT_EQ(control_header_names().size(), 21U);
}

TEST(Controls, EveryHeaderIsDocumented) {
  std::ostringstream document;
  document << std::ifstream(EGPTC_SOURCE_DIR "/docs/controls.md").rdbuf();
  for (const std::string_view name : control_header_names())
    EXPECT_THAT(document.str(), HasSubstr("`" + std::string(name))) << name;
}

TEST(Controls, OwnHeadersWinOverAliasesHeadersOverTheBody) {
  EXPECT_EQ(describe(read({{"X-Cache-Namespace", "mine"}, {"cf-aig-cache-key", "theirs"}})),
            "namespace=mine");
  EXPECT_EQ(describe(read({{"cf-aig-cache-key", "theirs"}}, R"({"namespace":"body","ttl":7})")),
            "ttl=7000 namespace=theirs");
}

TEST(Controls, BodyFieldOfLiteLLM) {
  struct Case {
    const char* body;
    const char* expected;
  };
  const Case cases[] = {
      {R"({"no-cache":true,"no-store":true})", "no_cache no_store"},
      {R"({"no-cache":false,"use-cache":true})", ""},
      {R"({"use-cache":false})", "type=3"},
      {R"({"ttl":0.5,"s-maxage":60})", "age=60000 ttl=1000"},
      {R"({"s-max-age":3})", "age=3000"},
      {R"({"namespace":"a\u00e9"})", "namespace=a\xC3\xA9"},
      {"null", ""},
      {"{}", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(describe(read({}, c.body)), c.expected) << c.body;
}

TEST(Controls, BadValuesAreNamedWithTheAllowedRange) {
  struct Case {
    std::string name;
    std::string value;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"X-Cache-Control", "no-cash", "Invalid X-Cache-Control 'no-cash': allowed is no-cache, no-store"},
      {"X-Cache-Control", "max-age", "from 0 to 31536000"},
      {"X-Cache-Control", "ttl=0", "from 1 to 31536000"},
      {"X-Cache-TTL", "0", "from 1 to 31536000"},
      {"X-Cache-TTL", "-1", "whole number of seconds"},
      {"X-Cache-TTL", "1.5", "whole number of seconds"},
      {"X-Cache-TTL", "999999999999999999999", "whole number"},
      {"X-Cache-TTL", "", "whole number"},
      {"X-Cache-TTL", "400d", "whole number"},
      {"X-Cache-Namespace", "", "1 to 256 bytes"},
      {"X-Cache-Namespace", std::string(257, 'n'), "1 to 256 bytes"},
      {"X-Cache-Namespace",
       "a\x01"
       "b",
       "without control"},
      {"X-Cache-Namespace", "\xFF", "UTF-8"},
      {"X-Cache-Threshold", "1.1", "a number from 0 to 1"},
      {"X-Cache-Threshold", "nan", "a number from 0 to 1"},
      {"X-Cache-Threshold", "0.5x", "a number from 0 to 1"},
      {"X-Cache-Type", "fuzzy", "exact, semantic or off"},
      {"X-Cache-Tags", "a,,b", "up to 16 tags"},
      {"X-Cache-Tags", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "up to 16 tags"},
      {"X-Cache-Tags", std::string(65, 't'), "1 to 64 bytes"},
      {"X-Cache-Query", std::string(8193, 'q'), "1 to 8192 bytes"},
      {"cf-aig-skip-cache", "yes", "true or false"},
  };
  for (const Case& c : cases) {
    const auto result = read({{c.name, c.value}});
    ASSERT_FALSE(result) << c.name << ": " << c.value.substr(0, 20);
    EXPECT_EQ(result.error().status, 400);
    EXPECT_EQ(result.error().param, c.name);
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
  for (const char* body : {"7", R"({"ttl":"x"})", R"({"ttl":-1})", R"({"no-cache":"yes"})",
                           R"({"namespace":7})", R"({"unknown":1})", R"({"use-cache":1})"}) {
    const auto result = read({}, body);
    ASSERT_FALSE(result) << body;
    EXPECT_THAT(result.error().param, testing::StartsWith("cache")) << body;
  }
}

TEST(ControlHeaders, AreNoPartOfATenant) {
  for (const std::string_view name : control_header_names()) {
    if (name == "cache-control") continue;  // forwarded, and known to carry no credential
    EXPECT_EQ(base::header_class(name), base::HeaderClass::kLocal) << name;
  }
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
