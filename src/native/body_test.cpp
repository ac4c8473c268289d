#include "native/body.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::native {
namespace {

using nlohmann::json;

std::string error_of(const json& object, void (*read)(Body&)) {
  Body body(object);
  read(body);
  auto ok = body.finish();
  return ok ? "" : ok.error().message;
}

TEST(Body, ParseNamesWhatIsWrong) {
  EXPECT_NE(Body::parse("").error().message.find("empty"), std::string::npos);
  EXPECT_NE(Body::parse("{").error().message.find("malformed JSON"), std::string::npos);
  EXPECT_NE(Body::parse("[1]").error().message.find("it is an array"), std::string::npos);
  EXPECT_NE(Body::parse("12").error().message.find("it is an integer"), std::string::npos);
  EXPECT_NE(Body::parse("\"x\xff\"").error().message.find("malformed JSON"), std::string::npos);
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_NE(Body::parse(deep).error().message.find("deeper than 64"), std::string::npos);
  const std::string brackets_in_text = "{\"a\":\"" + std::string(200, '[') + "\\\"" + "\"}";
  EXPECT_TRUE(Body::parse(brackets_in_text));
}

TEST(Body, TypesAndRanges) {
  const json object = {{"t", 1}, {"n", "x"}, {"i", 1.5}, {"b", 0}, {"l", "x"}, {"c", 3}};
  EXPECT_EQ(error_of(object, [](Body& b) { b.text("t", 9); }), "t: must be a string, it is an integer");
  EXPECT_EQ(error_of(object, [](Body& b) { b.number("n", 0, 1); }),
            "n: must be a number from 0 to 1, it is a string");
  EXPECT_EQ(error_of(object, [](Body& b) { b.integer("i", 0, 9); }),
            "i: must be a whole number from 0 to 9, it is a number");
  EXPECT_EQ(error_of(object, [](Body& b) { b.boolean("b"); }), "b: must be true or false, it is an integer");
  EXPECT_EQ(error_of(object, [](Body& b) { b.texts("l", 1, 1); }),
            "l: must be a list of strings, it is a string");
  EXPECT_EQ(error_of(object, [](Body& b) { b.turns("c"); }),
            "c: must be a list of {role, content}, it is an integer");
}

TEST(Body, LimitsAreNamedWithTheValue) {
  const json object = {
      {"t", "abcdef"}, {"n", 7}, {"u", 18446744073709551615U}, {"l", {"a", "b"}}, {"e", {""}}};
  EXPECT_EQ(error_of(object, [](Body& b) { b.text("t", 3); }), "t: is 6 bytes long, at most 3 are allowed");
  EXPECT_EQ(error_of(object, [](Body& b) { b.number("n", 0, 1); }), "n: is 7, the allowed range is 0 to 1");
  EXPECT_EQ(error_of(object, [](Body& b) { b.integer("u", 0, 5); }),
            "u: is 18446744073709551615, the allowed range is 0 to 5");
  EXPECT_EQ(error_of(object, [](Body& b) { b.texts("l", 1, 9); }), "l: has 2 items, at most 1 are allowed");
  EXPECT_EQ(error_of(object, [](Body& b) { b.texts("e", 2, 9); }),
            "e: every item must be a string of 1 to 9 bytes");
  EXPECT_EQ(error_of(object, [](Body& b) { b.required_text("missing", 3); }),
            "missing: is required (a string)");
}

TEST(Body, UnknownFieldsAreErrorsThatNameTheNearest) {
  const json object = {{"qery", "x"}};
  EXPECT_EQ(error_of(object,
                     [](Body& b) {
                       b.text("query", 9);
                       b.text("model", 9);
                     }),
            "qery: unknown field; did you mean query?");
}

TEST(Body, TurnsMustBeRoleAndContent) {
  const auto message = [](json turns) {
    const json object = {{"context", std::move(turns)}};
    return error_of(object, [](Body& b) { b.turns("context"); });
  };
  EXPECT_EQ(message(json::array({{{"role", "user"}, {"content", "x"}}})), "");
  EXPECT_NE(message(json::array({{{"role", "user"}}})), "");
  EXPECT_NE(message(json::array({{{"role", "user"}, {"content", 1}}})), "");
  EXPECT_NE(message(json::array({{{"role", "robot"}, {"content", "x"}}})).find("allowed are user"),
            std::string::npos);
  EXPECT_NE(message(json::array({{{"role", "user"}, {"content", "x"}, {"name", "n"}}})), "");
}

TEST(Body, TheFirstErrorIsKeptWithItsField) {
  const json object = {{"a", 1}, {"b", 2}};
  Body body(object, "entries[3].");
  body.text("a", 1);
  body.text("b", 1);
  EXPECT_FALSE(body.finish());
  EXPECT_EQ(body.error_field(), "entries[3].a");
}

TEST(Body, NullCountsAsAbsent) {
  const json object = {{"a", nullptr}};
  Body body(object);
  EXPECT_FALSE(body.text("a", 1));
  EXPECT_TRUE(body.finish());
}

}  // namespace
}  // namespace enhanced_gptcache::native
