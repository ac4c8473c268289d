#include "native/reply.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "native/raw_json.h"
#include "native/requests.h"

namespace enhanced_gptcache::native {
namespace {

using nlohmann::json;

TEST(RawJson, KeepsBytes) {
  const std::string body =
      R"({"query":"q","response": {"big":12345678901234567890123, "x" : [1.0, 2e400]} ,"z":1})";
  EXPECT_EQ(raw_field(body, "response"), R"({"big":12345678901234567890123, "x" : [1.0, 2e400]})");
  EXPECT_EQ(raw_field(body, "nothing"), std::nullopt);
  const auto items = raw_items(R"({"entries":[{"a":1}, 2 ,"x"]})", "entries");
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[0], "{\"a\":1}");
  EXPECT_EQ(items[1], "2");
  EXPECT_TRUE(raw_items("{}", "entries").empty());
}

TEST(Reply, MissSaysWhyAndWhatWasNearest) {
  Lookup lookup;
  lookup.reason = MissReason::kGuard;
  lookup.detail = "numbers";
  lookup.nearest = Nearest{0.91, 0.5, "abc"};
  lookup.request_id = "r1";
  const json body = json::parse(lookup_json(lookup, 0, 0.25));
  EXPECT_EQ(body["hit"], false);
  EXPECT_EQ(body["reason"], "guard:numbers");
  EXPECT_EQ(body["nearest"]["similarity"], 0.91);
  EXPECT_EQ(body["request_id"], "r1");
  EXPECT_FALSE(body.contains("response"));
}

TEST(Reply, ErrorsHaveOpenAiForm) {
  const auto response = error_response(Error{ErrorCode::kOverloaded, "full \"now\""}, "query");
  EXPECT_EQ(response.status, 503);
  const json body = json::parse(response.body);
  EXPECT_EQ(body["error"]["message"], "full \"now\"");
  EXPECT_EQ(body["error"]["type"], "server_error");
  EXPECT_EQ(body["error"]["param"], "query");
  EXPECT_TRUE(body["error"]["code"].is_null());
  EXPECT_NE(http::find_header(response.headers, "retry-after"), nullptr);
}

struct ReadTest : testing::Test {
  Caller caller{"t1", "u1", "u1", nullptr};
  NativeOptions options;
  Checked<std::vector<StoreRequest>> entries(const std::string& text) {
    return read_entries(text, json::parse(text), caller, options);
  }
};

TEST_F(ReadTest, StringAndJsonResponses) {
  auto one = entries(R"({"query":"q","response":"hello","ttl_seconds":5,"tags":["a"],"subject":"s"})");
  ASSERT_TRUE(one);
  EXPECT_EQ((*one)[0].text, "hello");
  EXPECT_EQ((*one)[0].response_json, "");
  EXPECT_EQ((*one)[0].ttl_ms, 5000);
  EXPECT_EQ((*one)[0].prompt.tenant, "t1");
  auto number = entries(R"({"query":"q","response":1.50})");
  ASSERT_TRUE(number);
  EXPECT_EQ((*number)[0].response_json, "1.50");
  auto nothing = entries(R"({"query":"q","response":null})");
  ASSERT_TRUE(nothing);
  EXPECT_EQ((*nothing)[0].response_json, "null");
  auto many = entries(R"({"entries":[{"query":"a","response":"1"},{"query":"b","response":{"x":[1]}}]})");
  ASSERT_TRUE(many);
  EXPECT_EQ((*many)[1].response_json, R"({"x":[1]})");
}

TEST_F(ReadTest, BadEntriesNameTheField) {
  EXPECT_EQ(entries(R"({"query":"q"})").error().param, "response");
  EXPECT_EQ(entries(R"({"query":"q","response":"x","ttl_seconds":0})").error().param, "ttl_seconds");
  EXPECT_EQ(entries(R"({"entries":[]})").error().param, "entries");
  EXPECT_EQ(entries(R"({"entries":[{"query":"a","response":"1"},{"query":1,"response":"1"}]})").error().param,
            "entries[1].query");
  EXPECT_EQ(entries(R"({"entries":[3]})").error().param, "entries[0]");
  EXPECT_EQ(entries(R"({"entries":[],"query":"x"})").error().param, "query");
}

TEST_F(ReadTest, ListParameters) {
  auto list = read_list("namespace=a%20b&tag=x&tag=y&limit=7&cursor=ff&q=wo+rd", caller, options);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->filter.name_space, "a b");
  EXPECT_EQ(list->filter.tags.size(), 2U);
  EXPECT_EQ(list->limit, 7U);
  EXPECT_EQ(list->cursor, "ff");
  EXPECT_EQ(list->filter.query_contains, "wo rd");
  EXPECT_EQ(read_list("limit=0", caller, options).error().param, "limit");
  EXPECT_EQ(read_list("limit=5000", caller, options).error().param, "limit");
  EXPECT_EQ(read_list("limt=5", caller, options).error().param, "limt");
}

TEST_F(ReadTest, FeedbackNeedsOneTargetAndAVerdict) {
  const auto param = [&](const json& object) {
    Body body(object);
    read_feedback(body, caller);
    return body.finish() ? std::string() : body.error_field();
  };
  EXPECT_EQ(param({{"request_id", "r"}, {"correct", true}}), "");
  EXPECT_EQ(param({{"entry_id", "e"}, {"correct", false}, {"query", "q"}}), "");
  EXPECT_EQ(param({{"request_id", "r"}, {"missed_entry_id", "e"}}), "");
  EXPECT_EQ(param({{"correct", true}}), "request_id");
  EXPECT_EQ(param({{"request_id", "r"}}), "correct");
  EXPECT_EQ(param({{"request_id", "r"}, {"entry_id", "e"}, {"correct", true}}), "entry_id");
  EXPECT_EQ(param({{"entry_id", "e"}, {"missed_entry_id", "m"}}), "missed_entry_id");
}

TEST_F(ReadTest, InvalidateRefusesAnEmptyFilter) {
  const json nothing = {{"dry_run", true}};
  Body body(nothing);
  read_invalidate(body, caller);
  EXPECT_FALSE(body.finish());
  const json tags = {{"tags", {"a"}}, {"dry_run", true}};
  Body with_tags(tags);
  EXPECT_TRUE(read_invalidate(with_tags, caller).dry_run);
  EXPECT_TRUE(with_tags.finish());
}

}  // namespace
}  // namespace enhanced_gptcache::native
