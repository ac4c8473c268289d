#include "base/canonical_json.h"

#include <gtest/gtest.h>

#include <random>

namespace enhanced_gptcache::base {
namespace {

std::string canonical(std::string_view json) {
  auto result = canonical_json(json);
  return result ? *result : "error: " + result.error().message;
}

TEST(CanonicalJson, SameDocumentSameText) {
  struct Case {
    std::string_view input;
    std::string_view expected;
  };
  const Case cases[] = {
      {"{}", "{}"},
      {" [ ] ", "[]"},
      {"null", "null"},
      {"\t{ \"b\" : 1 ,\n\"a\" : [ true , false , null ] }\r\n", R"({"a":[true,false,null],"b":1})"},
      {R"({"b":{"z":1,"y":2},"a":{"d":[{"q":1,"p":2}],"c":0}})",
       R"({"a":{"c":0,"d":[{"p":2,"q":1}]},"b":{"y":2,"z":1}})"},
      {R"("\u0041\u00e9\u20ac\ud83d\ude00")", "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {R"("\/\"\\\b\f\n\r\t\u0008\u000a\u0000\u001f\u0022\u005c")",
       R"("/\"\\\b\f\n\r\t\b\n\u0000\u001f\"\\")"},
      {"[1.0,1,1e0,-0,0.10,1E+2,123456789012345678901234567890]",
       "[1.0,1,1e0,-0,0.10,1E+2,123456789012345678901234567890]"},
      {R"({"a":1,"A":2,"":3,"\u0061b":4})", R"({"":3,"A":2,"a":1,"ab":4})"},
      {R"({"content":"a long text, over eight bytes, with a \" in it and more"})",
       R"({"content":"a long text, over eight bytes, with a \" in it and more"})"},
      {"\"\x7F \xC2\x80\"", "\"\x7F \xC2\x80\""},
  };
  for (const Case& c : cases) EXPECT_EQ(canonical(c.input), c.expected) << c.input;
}

TEST(CanonicalJson, DifferencesOfTextStay) {
  EXPECT_NE(canonical(R"({"a":1})"), canonical(R"({"a":1.0})"));
  EXPECT_NE(canonical(R"({"a":"x "})"), canonical(R"({"a":"x"})"));
  EXPECT_NE(canonical(R"({"a":null})"), canonical("{}"));
  EXPECT_NE(canonical(R"(["a","b"])"), canonical(R"(["b","a"])"));
}

TEST(CanonicalJson, BadDocumentsAreRefusedWithThePlace) {
  struct Case {
    std::string_view input;
    std::string_view message;
  };
  const Case cases[] = {
      {"", "unexpected end"},
      {"   ", "unexpected end"},
      {"{", "expected a string"},
      {"{\"a\"", "expected :"},
      {"{\"a\":", "unexpected end"},
      {"{\"a\":1", "unterminated object"},
      {"{\"a\":1,}", "expected a string"},
      {"{\"a\" 1}", "expected : after an object key at byte 5"},
      {"{\"a\":1;", "expected , or }"},
      {"{a:1}", "expected a string"},
      {"[1", "unterminated array"},
      {"[1 2]", "expected , or ]"},
      {"[1,]", "unexpected character at byte 3"},
      {"[,1]", "unexpected character"},
      {"tru", "invalid literal"},
      {"nulL", "invalid literal"},
      {"01", "text after the end"},
      {"-", "invalid number"},
      {"-a", "invalid number"},
      {"1.", "invalid number"},
      {".5", "unexpected character"},
      {"1e", "invalid number"},
      {"1e+", "invalid number"},
      {"+1", "unexpected character"},
      {"NaN", "unexpected character"},
      {"\"abc", "unterminated string"},
      {"\"abc\\", "unterminated string"},
      {"\"\\x\"", "invalid escape"},
      {"\"\\u12", "invalid \\u"},
      {"\"\\u12G4\"", "invalid \\u"},
      {"\"\\ud800\"", "high surrogate"},
      {"\"\\ud800x12345\"", "high surrogate"},
      {"\"\\ud800\\u0041\"", "high surrogate"},
      {"\"\\ud800\\uZZZZ\"", "invalid \\u"},
      {"\"\\udc00\"", "low surrogate"},
      {"\"a\nb\"", "control character"},
      {"{} {}", "text after the end"},
      {R"({"a":1,"a":1})", "twice"},
      {R"({"b":0,"a":1,"\u0061":1})", "twice"},
      {R"({"x":{"a":1,"b":2,"a":3}})", "twice"},
      {"\"\xFF\"", "UTF-8"},
      {"\"\xC0\xAF\"", "UTF-8"},
      {"\"\xED\xA0\x80\"", "UTF-8"},
  };
  for (const Case& c : cases) {
    const auto result = canonical_json(c.input);
    ASSERT_FALSE(result) << c.input;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(result.error().message.find(c.message), std::string::npos)
        << c.input << ": " << result.error().message;
  }
}

TEST(CanonicalJson, DepthIsLimited) {
  const std::string deep64 = std::string(64, '[') + std::string(64, ']');
  const std::string deep65 = std::string(65, '[') + std::string(65, ']');
  EXPECT_EQ(canonical(deep64), deep64);
  EXPECT_NE(canonical(deep65).find("64 levels"), std::string::npos);
  EXPECT_FALSE(canonical_json(std::string(100'000, '[')));
}

TEST(CanonicalJson, EveryTruncationIsRefused) {
  const std::string document =
      R"({"model":"m","messages":[{"role":"user","content":"h\u00e9 \"x\" \ud83d\ude00"}],)"
      R"("n":-1.5e+3,"b":true})";
  ASSERT_TRUE(canonical_json(document));
  for (size_t length = 0; length < document.size(); ++length)
    EXPECT_FALSE(canonical_json(document.substr(0, length))) << length;
}

TEST(CanonicalJson, IsAFixedPointAndIgnoresOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> members;
    for (int i = 0; i < 12; ++i)
      members.push_back("\"k" + std::to_string(i) + "\" : {\"y\":" + std::to_string(random() % 9) +
                        ", \"x\":[]}");
    std::string forward = "{", backward = "{";
    std::shuffle(members.begin(), members.end(), random);
    for (size_t i = 0; i < members.size(); ++i) {
      forward += (i ? "," : "") + members[i];
      backward += (i ? " , " : "") + members[members.size() - 1 - i];
    }
    const std::string one = canonical(forward + "}");
    EXPECT_EQ(one, canonical(backward + "}"));
    EXPECT_EQ(one, canonical(one));
  }
}

TEST(JsonString, EscapesOnlyWhatItMust) {
  EXPECT_EQ(json_string(""), "\"\"");
  EXPECT_EQ(json_string("a\"b\\c\x01\n/\x7F"), "\"a\\\"b\\\\c\\u0001\\n/\x7F\"");
  std::string out = "x";
  append_json_string(out, "0123456789abcdef\t0123456789");
  EXPECT_EQ(out, "x\"0123456789abcdef\\t0123456789\"");
  for (int c = 0; c < 256; ++c) {
    if (c >= 0x80) continue;
    const std::string text = "padding." + std::string(1, static_cast<char>(c)) + ".padding";
    EXPECT_EQ(canonical(json_string(text)), json_string(text)) << c;
  }
}

TEST(Utf8, MaximalSubpartsAreReplaced) {
  struct Case {
    std::string_view input;
    std::string_view expected;
  };
  const Case cases[] = {
      {"plain", "plain"},
      {"\xC3\xA9", "\xC3\xA9"},
      {"a\xFF"
       "b",
       "a\xEF\xBF\xBD"
       "b"},
      {"\xE2\x82", "\xEF\xBF\xBD"},
      {"\xE2\x28", "\xEF\xBF\xBD("},
      {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xE0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\xF0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(repair_utf8(c.input), c.expected);
    EXPECT_EQ(is_valid_utf8(c.input), repair_utf8(c.input) == c.input);
    EXPECT_TRUE(is_valid_utf8(repair_utf8(c.input)));
  }
}

}  // namespace
}  // namespace enhanced_gptcache::base
