#include "base/request_fields.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::base {
namespace {

TEST(RequestFields, AnUnknownHeaderIsTakenForACredential) {
  for (const char* name : {"X-Auth-Token", "X-OpenRouter-Key", "X-User-Id", "X-Forwarded-User",
                           "PRIVATE-TOKEN", "x-goog-iam-authority-selector", "Sec-WebSocket-Protocol", ""}) {
    EXPECT_EQ(header_class(name), HeaderClass::kUnlisted) << name;
    EXPECT_TRUE(separates_tenants(header_class(name))) << name;
    EXPECT_FALSE(may_go_to_any_provider(header_class(name))) << name;
  }
  EXPECT_EQ(header_class(std::string(100'000, 'a')), HeaderClass::kUnlisted);
}

TEST(RequestFields, ClassesInAnyCase) {
  EXPECT_EQ(header_class("AUTHORIZATION"), HeaderClass::kSecret);
  EXPECT_EQ(header_class("OpenAI-Project"), HeaderClass::kAccount);
  EXPECT_EQ(header_class("Accept-Language"), HeaderClass::kMeaning);
  EXPECT_EQ(header_class("X-Stainless-Anything"), HeaderClass::kNeutral);
  EXPECT_EQ(header_class("User-Agent"), HeaderClass::kNeutral);
  EXPECT_EQ(header_class("X-Forwarded-For"), HeaderClass::kPrivate);
  EXPECT_EQ(header_class("X-Cache-Future"), HeaderClass::kLocal);
  EXPECT_EQ(header_class("Proxy-Connection"), HeaderClass::kLocal);
  EXPECT_FALSE(may_go_to_any_provider(HeaderClass::kPrivate));
  EXPECT_FALSE(separates_tenants(HeaderClass::kPrivate));
  EXPECT_FALSE(separates_tenants(HeaderClass::kMeaning));
}

TEST(RequestFields, ParametersInAnySpelling) {
  for (const char* name : {"key", "KEY", "%6bey", "%4b%65y", "api_key", "api-key", "apikey", "token"})
    EXPECT_TRUE(is_credential_parameter(name)) << name;
  for (const char* name : {"api-version", "", "%", "%6", "%zzkey", "keys"})
    EXPECT_FALSE(is_credential_parameter(name)) << name;
  EXPECT_EQ(without_credentials("a=1&%6Bey=2&b&c=3&api-key=4"), "a=1&b&c=3");
  EXPECT_EQ(without_credentials("key=1"), "");
  EXPECT_EQ(without_own_keys("key=1&x=%65gptc_2&b=egptc_3&c"), "key=1&c");
}

TEST(RequestFields, OwnKeysInAnySpelling) {
  for (const char* value : {"egptc_1", "Bearer egptc_1", "EGPTC_1", "%65gptc_1", "%2565gptc_1",
                            "a=b,k=egptc_1", "\"egptc_1\"", "%45GPTC%5F1"})
    EXPECT_TRUE(holds_own_key(value)) << value;
  for (const char* value : {"", "egptc", "sk-1", "xegptc_1", "%", "%65", "e%67ptc"})
    EXPECT_FALSE(holds_own_key(value)) << value;
  EXPECT_EQ(percent_decoded("a%20b%2"), "a b%2");
  EXPECT_EQ(percent_decoded("%zz+"), "%zz+");
}

}  // namespace
}  // namespace enhanced_gptcache::base
