#include "proxy/request_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

/// The prompt of a chat body, or one whose `ineligible` starts with "error: ".
Prompt prompt_of(std::string_view body, PromptRules rules = {}, Dialect dialect = Dialect::kChat,
                 std::string_view surroundings = "") {
  Prompt prompt;
  auto parsed = parse_body(dialect, body, surroundings);
  if (!parsed) {
    prompt.ineligible = "error: " + parsed.error().message;
    return prompt;
  }
  prompt.canonical = parsed->canonical;
  prompt.model = parsed->model;
  if (auto complete = complete_prompt(*parsed, rules, prompt); !complete)
    prompt.ineligible = "error: " + complete.error().message;
  return prompt;
}

std::string with(std::string_view more, std::string_view messages = R"([{"role":"user","content":"q"}])") {
  return R"({"model":"m","messages":)" + std::string(messages) + std::string(more) + "}";
}

TEST(RequestBody, OneQuestionIsTheNativeQuery) {
  const Prompt prompt =
      prompt_of(R"({"model":"m", "messages":[{"role":"user", "content":"How \u00e9?"}], "user":"u"})");
  const Prompt native = make_prompt("How \xC3\xA9?", {}, {}, "m");
  EXPECT_EQ(prompt.canonical, native.canonical);
  EXPECT_EQ(prompt.shape, native.shape);
  EXPECT_EQ(prompt.system, native.system);
  EXPECT_EQ(prompt.query, native.query);
  EXPECT_EQ(prompt.ineligible, "");
}

TEST(RequestBody, ConversationIsTheNativeContext) {
  const Prompt prompt =
      prompt_of(with("", R"([{"role":"system","content":"S1"},{"role":"developer","content":"S2"},
      {"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":[
      {"type":"text","text":"three"},{"type":"text","text":"four"}]}])"));
  EXPECT_EQ(prompt.system, "S1\nS2");
  EXPECT_EQ(prompt.query, "three\nfour");
  ASSERT_EQ(prompt.context.size(), 2U);
  EXPECT_EQ(prompt.context[0].content, "one");
  EXPECT_EQ(prompt.context[1].role, "assistant");
  const Prompt native = make_prompt("q", {{"system", "S"}, {"user", "a"}, {"assistant", "b"}}, {}, "m");
  const Prompt same = prompt_of(with("", R"([{"role":"system","content":"S"},{"role":"user","content":"a"},
      {"role":"assistant","content":"b"},{"role":"user","content":"q"}])"));
  EXPECT_EQ(same.canonical, native.canonical);
  EXPECT_EQ(same.system, native.system);
}

TEST(RequestBody, EveryFieldIsKeyedOrNot) {
  const std::string plain = prompt_of(with("")).canonical;
  for (const FieldRow& row : field_table()) {
    if (row.use == FieldUse::kContent || row.name == "model") continue;
    const bool boolean = row.name == "stream";
    const std::string value = boolean                                               ? "true"
                              : row.name == "temperature"                           ? "0.1"
                              : row.name == "stream_options" || row.name == "cache" ? "{}"
                                                                                    : "\"x\"";
    const bool keyed = row.use == FieldUse::kKeyed || row.use == FieldUse::kSampling;
    EXPECT_EQ(prompt_of(with(",\"" + std::string(row.name) + "\":" + value)).canonical != plain, keyed)
        << row.name;
  }
  EXPECT_NE(prompt_of(with(R"(,"next_year":null)")).canonical, plain);
  EXPECT_NE(prompt_of(with(R"(,"n":1)")).canonical, plain);
}

TEST(RequestBody, ShapeIsWhatChangesTheForm) {
  EXPECT_EQ(prompt_of(with("")).shape, "{}");
  EXPECT_EQ(prompt_of(with(R"(,"temperature":0.7,"user":"u","stream":true)")).shape, "{}");
  EXPECT_EQ(prompt_of(with(R"(,"temperature":0)")).shape, R"({"sampling":"greedy"})");
  EXPECT_EQ(prompt_of(with(R"(,"max_tokens":5, "future":{"b":1,"a":2})")).shape,
            R"({"future":{"a":2,"b":1},"max_tokens":5})");
  EXPECT_EQ(prompt_of(with(""), {}, Dialect::kChat, "?query:\"a\"").shape, "{}?query:\"a\"");
  EXPECT_THAT(prompt_of(with(""), {}, Dialect::kChat, "?query:\"a\"").canonical, HasSubstr("}?query:\"a\""));
}

TEST(Shape, AContentFieldOfAnotherDialectIsKeyed) {
  EXPECT_EQ(prompt_of(with(R"(,"prompt":{"id":"pmpt_A"})")).shape, R"({"prompt":{"id":"pmpt_A"}})");
  EXPECT_EQ(prompt_of(with(R"(,"input":"zzz")")).shape, R"({"input":"zzz"})");
  const std::string completion = R"({"model":"m-1","prompt":"hi","input":["z"],"messages":[]})";
  EXPECT_EQ(prompt_of(completion, {}, Dialect::kCompletions).shape, R"({"input":["z"],"messages":[]})");
  EXPECT_EQ(prompt_of(R"({"model":"m-1","prompt":"hi"})", {}, Dialect::kCompletions).shape, "{}");
}

TEST(RequestBody, WhatTheSemanticLayerMustNotSee) {
  struct Case {
    std::string body;
    const char* why;
  };
  const std::vector<Case> cases = {
      {with(R"(,"n":2)"), "n"},
      {with(R"(,"n":1)"), ""},
      {with(R"(,"n":null)"), ""},
      {with(R"(,"logprobs":true)"), "logprobs"},
      {with(R"(,"logprobs":false)"), ""},
      {with(R"(,"web_search_options":{})"), "web_search_options"},
      {with("", R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"}])"), "last_not_user"},
      {with("", R"([{"role":"tool","content":"r","tool_call_id":"1"}])"), "tool_result"},
      {with("", R"([{"role":"function","content":"r","name":"f"}])"), "tool_result"},
      {with("", R"([{"role":"system","content":"only"}])"), "last_not_user"},
      {with("", R"([{"role":"user","content":""}])"), "empty"},
      {with("", R"([{"role":"user","content":null}])"), "empty"},
      {with("", R"([{"role":"user","content":"q","name":"bob"}])"), "message_fields"},
      {with("", R"([{"role":"system","content":"s","name":"x"},{"role":"user","content":"q"}])"),
       "message_fields"},
      {with(
           "",
           R"([{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{}}]}])"),
       "image"},
      {with("", R"([{"role":"user","content":[{"type":"input_audio"}]},{"role":"user","content":"q"}])"),
       "audio"},
      {with("", R"([{"role":"user","content":[{"type":"file"}]}])"), "file"},
      {with("", R"([{"role":"user","content":[{"type":"hologram"}]}])"), "content_part"},
  };
  for (const Case& c : cases) EXPECT_EQ(prompt_of(c.body).ineligible, c.why) << c.body;
}

TEST(RequestBody, HistoriesThatDifferBesidesTextDiffer) {
  const char* history =
      R"([{"role":"assistant","content":null,"tool_calls":[{"id":"%s"}]},{"role":"user","content":"q"}])";
  std::string one = history;
  std::string two = history;
  one.replace(one.find("%s"), 2, "a");
  two.replace(two.find("%s"), 2, "b");
  EXPECT_NE(prompt_of(with("", one)).context[0].content, prompt_of(with("", two)).context[0].content);
}

TEST(RequestBody, CompletionPrompts) {
  const auto body = [](std::string_view prompt) {
    return R"({"model":"m","prompt":)" + std::string(prompt) + "}";
  };
  struct Case {
    const char* prompt;
    const char* query;
    const char* why;
  };
  const Case cases[] = {
      {"\"once\"", "once", ""}, {"[\"once\"]", "once", ""}, {"[\"a\",\"b\"]", "", "prompt_array"},
      {"[1,2]", "", "tokens"},  {"[[1,2]]", "", "tokens"},  {"\"\"", "", "empty"}};
  for (const Case& c : cases) {
    const Prompt prompt = prompt_of(body(c.prompt), {}, Dialect::kCompletions);
    EXPECT_EQ(prompt.query, c.query) << c.prompt;
    EXPECT_EQ(prompt.ineligible, c.why) << c.prompt;
  }
  EXPECT_THAT(prompt_of(body("[]"), {}, Dialect::kCompletions).ineligible, HasSubstr("empty array"));
  EXPECT_THAT(prompt_of(body("7"), {}, Dialect::kCompletions).ineligible,
              HasSubstr("Invalid type for 'prompt'"));
  EXPECT_EQ(prompt_of(R"({"model":"m","input":"x"})", {}, Dialect::kEmbeddings).ineligible, "embeddings");
}

TEST(RequestBody, BadBodiesNameTheField) {
  struct Case {
    std::string body;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"", "could not parse the JSON body"},
      {"{\"model\":", "could not parse"},
      {"{\"a\":\"\xFF\"}", "UTF-8"},
      {std::string(1000, '[') + std::string(1000, ']'), "64 levels"},
      {"[]", "must be a JSON object, but is an array"},
      {"7", "but is a number"},
      {"\"x\"", "but is a string"},
      {"null", "but is null"},
      {"true", "but is a boolean"},
      {R"({"messages":[]})", "must provide a model"},
      {R"({"model":"","messages":[]})", "must provide a model"},
      {R"({"model":7,"messages":[]})", "'model': expected a string, but got a number"},
      {R"({"model":{},"messages":[]})", "got an object"},
      {R"({"model":"m"})", "Missing required parameter: 'messages'"},
      {R"({"model":"m","messages":null})", "Missing required parameter: 'messages'"},
      {R"({"model":"m","messages":"x"})", "'messages': expected an array"},
      {R"({"model":"m","messages":[]})", "'messages': empty array"},
      {R"({"model":"m","messages":["x"]})", "'messages[0]': expected an object"},
      {R"({"model":"m","messages":[{"content":"x"}]})", "'messages[0].role'"},
      {R"({"model":"m","messages":[{"role":1,"content":"x"}]})", "'messages[0].role': expected a string"},
      {R"({"model":"m","messages":[{"role":"user","content":7}]})", "'messages[0].content'"},
      {R"({"model":"m","messages":[{"role":"user","content":["x"]}]})", "'messages[0].content': every part"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]})",
       "text part needs a string"},
      {with(R"(,"stream":"yes")"), "'stream': expected a boolean"},
      {with(R"(,"temperature":"hot")"), "'temperature': expected a number"},
      {with(R"(,"temperature":1e999)"), "'temperature': it must be a finite number"},
      {with(R"(,"user":7)"), "'user': expected a string"},
      {with(R"(,"stream_options":7)"), "'stream_options': expected an object"},
      {with(R"(,"stream_options":{"include_usage":7})"),
       "'stream_options.include_usage': expected a boolean"},
      {with(R"(,"n":1,"n":2)"), "twice"},
  };
  for (const Case& c : cases) {
    const std::string message = prompt_of(c.body).ineligible;
    EXPECT_THAT(message, testing::StartsWith("error: ")) << c.body.substr(0, 80);
    EXPECT_THAT(message, HasSubstr(c.message)) << c.body.substr(0, 80);
  }
}

TEST(RequestBody, NullsMeanAbsent) {
  const auto body = parse_body(
      Dialect::kChat, with(R"(,"stream":null,"temperature":null,"user":null,"stream_options":null)"), "");
  ASSERT_TRUE(body);
  EXPECT_FALSE(body->stream);
  EXPECT_FALSE(body->temperature);
  const auto usage =
      parse_body(Dialect::kChat, with(R"(,"stream":true,"stream_options":{"include_usage":true})"), "");
  EXPECT_TRUE(usage->stream && usage->include_usage);
  EXPECT_FALSE(
      parse_body(Dialect::kChat, with(R"(,"stream_options":{"include_usage":null})"), "")->include_usage);
}

TEST(RequestBody, NamedQueryLeavesTheRestToThePartition) {
  const std::string body =
      with("", R"([{"role":"user","content":"Document A. What is it? Answer briefly."}])");
  const Prompt plain = prompt_of(body);
  const Prompt named = prompt_of(body, {false, "What is it?"});
  EXPECT_EQ(named.query, "What is it?");
  EXPECT_EQ(named.canonical, plain.canonical);
  EXPECT_THAT(named.shape, HasSubstr("Document A."));
  const Prompt other =
      prompt_of(with("", R"([{"role":"user","content":"Document B. What is it? Answer briefly."}])"),
                {false, "What is it?"});
  EXPECT_NE(named.shape, other.shape);
  EXPECT_THAT(prompt_of(body, {false, "not in there"}).shape, HasSubstr("What is it?"));
}

TEST(MaskVolatile, DatesTimesAndIdentifiersOnly) {
  struct Case {
    const char* text;
    const char* masked;
  };
  const Case cases[] = {
      {"Today is 2026-11-23.", "Today is #."},
      {"Now: 2026-11-23T09:15:00Z!", "Now: #!"},
      {"at 09:15, 23/11/2026, 23.11.2026", "at #, #, #"},
      {"session 6f9619ff-8b86-d011-b42d-00cf4fc964ff ok", "session # ok"},
      {"trace deadbeef12345678 end", "trace # end"},
      {"at most 1000 words, version 2.5, 10-20 items, 3 cats",
       "at most 1000 words, version 2.5, 10-20 items, 3 cats"},
      {"facade a1b2 model gpt-4o-2024", "facade a1b2 model gpt-4o-2024"},
      {"", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(mask_volatile(c.text), c.masked);
  const std::string body =
      with("", R"([{"role":"system","content":"It is 12:30."},{"role":"user","content":"q"}])");
  EXPECT_EQ(prompt_of(body, {true, {}}).system, "It is #.");
}

TEST(JsonView, WalksTextsWithBlanksAndEscapes) {
  const std::string text =
      " { \"a\\u0062\" : [ 1 , {\"x\":\"]}\\\"\"} , \"s\" ] ,\n\"c\":-1.5e3 , \"d\" : true } ";
  MemberCursor members(text);
  ASSERT_TRUE(members.next());
  EXPECT_TRUE(members.key_is("ab"));
  EXPECT_FALSE(members.key_is("a"));
  ElementCursor elements(members.value());
  std::vector<std::string> seen;
  while (elements.next()) seen.emplace_back(elements.value());
  EXPECT_THAT(seen, testing::ElementsAre("1", "{\"x\":\"]}\\\"\"}", "\"s\""));
  EXPECT_EQ(json_number(*find_member(text, "c")), -1500.0);
  EXPECT_EQ(find_member(text, "d"), "true");
  EXPECT_FALSE(find_member(text, "e"));
  EXPECT_FALSE(find_member("[]", "e"));
  EXPECT_EQ(json_text(R"("a\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00")"),
            "a\"\\/\b\f\n\r\t\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(json_text("7"), "");
  EXPECT_FALSE(json_number("\"7\""));
  EXPECT_EQ(json_depth(R"({"a":[[1]],"b":"[[[["})"), 3U);
  EXPECT_EQ(json_depth("7"), 0U);
  EXPECT_EQ(json_kind(" "), JsonKind::kNull);
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
