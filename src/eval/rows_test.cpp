#include "eval/rows.h"

#include "eval/test_files.h"

namespace enhanced_gptcache::eval {
namespace {

TEST(PairRows, TextsAndConversations) {
  const auto plain = parse_pair(R"({"a":"x","b":"y","label":1,"kind":"k","source":"left alone"})");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->a.text, "x");
  EXPECT_TRUE(plain->same);
  EXPECT_EQ(plain->kind, "k");
  const auto turns =
      parse_pair(R"({"a":{"history":[{"role":"user","content":"c"}],"q":"x"},"b":{"q":"y"},"label":false})");
  ASSERT_TRUE(turns) << turns.error().message;
  ASSERT_EQ(turns->a.history.size(), 1U);
  EXPECT_EQ(turns->a.history[0].content, "c");
  EXPECT_TRUE(turns->b.history.empty());
  EXPECT_FALSE(turns->same);
}

TEST(PairRows, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "JSON"},
      {"{", "JSON"},
      {"[]", "object"},
      {R"({"b":"y","label":1})", "a is missing"},
      {R"({"a":"","b":"y","label":1})", "a is empty"},
      {R"({"a":7,"b":"y","label":1})", "a is no text"},
      {R"({"a":"x","b":"y"})", "label is missing"},
      {R"({"a":"x","b":"y","label":null})", "label is missing"},
      {R"({"a":"x","b":"y","label":2})", "label is 2"},
      {R"({"a":"x","b":"y","label":"1"})", "label is"},
      {R"({"a":"x","b":"y","label":1,"kind":7})", "kind"},
      {R"({"a":{"q":"x","history":{}},"b":"y","label":1})", "a.history is no list"},
      {R"({"a":{"q":"x","history":[{"role":"user"}]},"b":"y","label":1})", "a.history[0]"},
      {R"({"a":{"q":"x","history":[{"role":"boss","content":"c"}]},"b":"y","label":1})", "role"},
      {"{\"a\":\"\xff\",\"b\":\"y\",\"label\":1}", "JSON"},
  };
  for (const auto& [line, words] : cases) {
    const auto row = parse_pair(line);
    ASSERT_FALSE(row) << line;
    EXPECT_NE(row.error().message.find(words), std::string::npos) << line << ": " << row.error().message;
  }
}

TEST(StreamRows, ClustersAreTextsOrNumbers) {
  const auto row =
      parse_stream(R"({"q":"x","cluster":7,"unjudged":["8",9],"judged_not":[],"slot_free":false})");
  ASSERT_TRUE(row) << row.error().message;
  EXPECT_EQ(row->cluster, "7");
  EXPECT_EQ(row->unjudged, (std::vector<std::string>{"8", "9"}));
  EXPECT_FALSE(row->slot_free);
  EXPECT_TRUE(parse_stream(R"({"q":"x","cluster":"c"})")->slot_free);
  for (const char* line :
       {R"({"q":"x"})", R"({"cluster":"c"})", R"({"q":"x","cluster":1.5})",
        R"({"q":"x","cluster":"c","unjudged":"d"})", R"({"q":"x","cluster":"c","slot_free":3})"})
    EXPECT_FALSE(parse_stream(line)) << line;
}

TEST(TrafficRows, EverythingButTheQuestionIsOptional) {
  const auto least = parse_traffic(R"({"query":"x"})");
  ASSERT_TRUE(least);
  EXPECT_EQ(least->model, "default");
  EXPECT_FALSE(least->response);
  const auto most =
      parse_traffic(R"({"query":"x","context":[{"role":"user","content":"c"}],"namespace":"n","model":"m",)"
                    R"("response":{"a":1},"timestamp":"2026-11-23T05:09:28Z"})");
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_EQ(most->response, R"({"a":1})");
  EXPECT_EQ(most->timestamp_ms, 1795410568000);
  EXPECT_FALSE(parse_traffic(R"({"query":"x","timestamp":"yesterday"})"));
  EXPECT_FALSE(parse_traffic(R"({"response":"x"})"));
}

TEST(ShadowRows, SharesAreBetweenZeroAndOne) {
  const auto row = parse_shadow(R"({"similarity":0.9,"probability":0.8,"correct":true})");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->probability, 0.8);
  EXPECT_FALSE(parse_shadow(R"({"similarity":0.9,"correct":1})")->probability);
  for (const char* line : {R"({"similarity":1.1,"correct":1})", R"({"similarity":"1","correct":1})",
                           R"({"similarity":0.9,"probability":-0.1,"correct":1})", R"({"similarity":0.9})"})
    EXPECT_FALSE(parse_shadow(line)) << line;
}

TEST(Times, SecondsMillisecondsAndIso) {
  EXPECT_EQ(parse_time_ms("1795410568"), 1795410568000);
  EXPECT_EQ(parse_time_ms("1795410568.25"), 1795410568250);
  EXPECT_EQ(parse_time_ms("1795410568250"), 1795410568250);
  EXPECT_EQ(parse_time_ms("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_time_ms("2026-11-23 05:09:28.250"), 1795410568250);
  EXPECT_EQ(parse_time_ms("2026-11-23T06:09:28+01:00"), 1795410568000);
  EXPECT_EQ(parse_time_ms("2026-11-23T00:39:28-0430"), 1795410568000);
  for (const char* text : {"", "2026-11-23", "2026-02-30T00:00:00Z", "2026-11-23T25:00:00Z", "-5", "1e30",
                           "2026-11-23T05:09:28+99:00", "2026-11-23T05:09:28X"})
    EXPECT_FALSE(parse_time_ms(text)) << text;
}

TEST(RowFiles, SkipTheBadAndFailWithoutTheGood) {
  const TestFiles files;
  const std::string good = R"({"a":"x","b":"y","label":1})";
  const auto rows = read_pairs(files.write("my_pairs.dev.jsonl", good + "\n{}\n" + good), 0);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->name, "my_pairs");
  EXPECT_EQ(rows->rows[0].kind, "my_pairs") << "rows without a kind are of the file's";
  EXPECT_EQ(rows->rows.size(), 2U);
  EXPECT_EQ(rows->lines.skipped, 1U);
  const auto none = read_pairs(files.write("none", "{}\n{}\n"), 0);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("line 1"), std::string::npos) << none.error().message;
  EXPECT_FALSE(read_pairs(files.write("empty", ""), 0));
}

TEST(RowFiles, FormsAreToldByTheirFields) {
  const TestFiles files;
  EXPECT_EQ(form_of(R"({"a":"x","b":"y"})"), RowForm::kPair);
  EXPECT_EQ(form_of(R"({"q":"x","cluster":1})"), RowForm::kStream);
  EXPECT_EQ(form_of(R"({"similarity":1})"), RowForm::kShadow);
  EXPECT_EQ(form_of("nothing"), RowForm::kUnknown);
  EXPECT_EQ(form_of_file(files.write("f", "oops\n{\"similarity\":1}\n")).value(), RowForm::kShadow);
  EXPECT_EQ(form_of_file(files.write("g", "oops\n")).value(), RowForm::kUnknown);
  EXPECT_EQ(name_of("a/b/c.dev.jsonl.gz"), "c");
  EXPECT_EQ(name_of(".hidden.x"), ".hidden");
}

}  // namespace
}  // namespace enhanced_gptcache::eval
