// Streams: reading, putting together, replaying. The transcripts in tests/golden/sse are pairs of a
// provider's stream and the non-streamed answer it stands for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/answer_reader.h"
#include "proxy/replay.h"
#include "proxy/sse_reader.h"
#include "proxy/stream_assembler.h"

namespace enhanced_gptcache::proxy {
namespace {

using Plain = nlohmann::json;  // compares objects without regard to order

struct Golden {
  std::string name;
  std::string stream;
  std::string answer;
  Dialect dialect;
};

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<Golden> goldens() {
  std::vector<Golden> all;
  for (const auto& file : std::filesystem::directory_iterator(EGPTC_SOURCE_DIR "/tests/golden/sse")) {
    if (file.path().extension() != ".sse") continue;
    std::filesystem::path answer = file.path();
    const std::string name = file.path().stem();
    all.push_back({name, read_file(file.path()), read_file(answer.replace_extension(".json")),
                   name.starts_with("chat") ? Dialect::kChat : Dialect::kCompletions});
  }
  return all;
}

/// Events of a stream that comes in pieces of `piece_bytes`.
std::vector<SseEvent> events_of(std::string_view stream, size_t piece_bytes) {
  SseReader reader;
  std::vector<SseEvent> events;
  for (size_t at = 0; at < stream.size(); at += piece_bytes) {
    reader.feed(stream.substr(at, piece_bytes));
    while (auto event = reader.next()) events.push_back(std::move(*event));
  }
  EXPECT_FALSE(reader.has_rest());
  return events;
}

Json assemble(Dialect dialect, std::string_view stream, size_t piece_bytes = 1 << 20) {
  StreamAssembler assembler(dialect);
  for (const SseEvent& event : events_of(stream, piece_bytes)) assembler.add(event.data);
  EXPECT_TRUE(assembler.is_terminated());
  EXPECT_FALSE(assembler.is_broken());
  return assembler.take();
}

/// The answer that a stream of these deltas is learned as, or why it is not.
Result<Answer> learned(const std::vector<std::string>& deltas, const std::string& finish) {
  AnswerReader reader({Dialect::kChat, true, false, true, 1 << 20});
  for (const std::string& delta : deltas)
    reader.feed(R"(data: {"id":"a","choices":[{"index":0,"delta":)" + delta + "}]}\n\n");
  reader.feed(R"(data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":")" + finish + "\"}]}\n\n");
  reader.feed("data: [DONE]\n\n");
  return reader.take_answer();
}

std::string tool_delta(const std::string& function) {
  return R"({"tool_calls":[{"index":0,"id":"c","type":"function","function":)" + function + "}]}";
}

TEST(Learning, ARepeatedFunctionNameIsOneName) {
  const auto answer = learned({tool_delta(R"({"name":"find","arguments":"{\"a\""})"),
                               tool_delta(R"({"name":"find","arguments":":1}"})")},
                              "tool_calls");
  ASSERT_TRUE(answer) << answer.error().message;
  const Plain call = Plain::parse(answer->completion)["choices"][0]["message"]["tool_calls"][0];
  EXPECT_EQ(call["function"]["name"], "find");
  EXPECT_EQ(call["function"]["arguments"], R"({"a":1})");
  const auto split = learned(
      {tool_delta(R"({"name":"fi","arguments":""})"), tool_delta(R"({"name":"nd","arguments":"{}"})")},
      "stop");
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_THAT(split->completion, testing::HasSubstr(R"("name":"find")"));
}

TEST(Learning, TextsThatAreNoStringsAreNotLearned) {
  for (const std::vector<std::string>& deltas :
       {std::vector<std::string>{R"({"content":5})", R"({"content":"b"})"},
        {R"({"content":"b"})", R"({"content":5})"},
        {R"({"content":{"a":1}})"},
        {R"({"content":"b","unknown":"x"})", R"({"unknown":5})"},
        {tool_delta(R"({"name":"f","arguments":{"a":1}})")},
        {tool_delta(R"({"name":5,"arguments":"{}"})")}}) {
    const auto answer = learned(deltas, "stop");
    ASSERT_FALSE(answer) << answer->completion;
    EXPECT_EQ(answer.error().message, "malformed");
  }
  EXPECT_TRUE(learned({R"({"content":null})", R"({"content":"b"})", R"({"content":null})"}, "stop"));
}

TEST(Learning, ArgumentsThatAreCutShortAreNotLearned) {
  for (const char* finish : {"tool_calls", "stop"})
    for (const char* arguments : {R"("{\"a\":")", R"("")", "null"}) {
      const auto answer =
          learned({tool_delta(R"({"name":"f","arguments":)" + std::string(arguments) + "}")}, finish);
      ASSERT_FALSE(answer) << answer->completion;
      EXPECT_EQ(answer.error().message, "malformed");
    }
  const auto legacy = learned({R"({"function_call":{"name":"f","arguments":"{\"a"}})"}, "function_call");
  EXPECT_FALSE(legacy);
}

TEST(Golden, StreamsBecomeTheAnswerHoweverTheyAreCut) {
  const auto all = goldens();
  ASSERT_GE(all.size(), 10U);
  for (const Golden& golden : all)
    for (const size_t bytes : {1UL, 2UL, 3UL, 7UL, 64UL, 1UL << 20U})
      EXPECT_EQ(Plain::parse(assemble(golden.dialect, golden.stream, bytes).dump()),
                Plain::parse(golden.answer))
          << golden.name << " in pieces of " << bytes;
}

TEST(Golden, ReplayedStreamsBecomeTheSameAnswer) {
  for (const Golden& golden : goldens()) {
    const Plain answer = Plain::parse(golden.answer);
    const std::string id = answer["id"];
    const auto stream = render_sse(golden.dialect, golden.answer, {true, id, answer["created"]});
    ASSERT_TRUE(stream) << golden.name;
    EXPECT_EQ(Plain::parse(assemble(golden.dialect, *stream).dump()), answer) << golden.name;
  }
}

TEST(Golden, RawEventsAreTheStream) {
  for (const Golden& golden : goldens()) {
    std::string raw;
    for (const SseEvent& event : events_of(golden.stream, 5)) raw += event.raw;
    EXPECT_EQ(raw, golden.stream);
  }
}

/// What a caller gets from an AnswerReader fed in pieces.
std::string pass(const AnswerRules& rules, std::string_view stream, size_t piece_bytes,
                 Result<Answer>& answer) {
  AnswerReader reader(rules);
  std::string out;
  for (size_t at = 0; at < stream.size(); at += piece_bytes)
    out += reader.feed(std::string(stream.substr(at, piece_bytes)));
  out += reader.finish();
  answer = reader.take_answer();
  return out;
}

TEST(Golden, PassingOnIsByteTrueButForTheUsageNobodyAskedFor) {
  for (const Golden& golden : goldens()) {
    Result<Answer> answer = fail(ErrorCode::kInternal, "");
    AnswerRules rules{golden.dialect, true, false, true, 1 << 20};
    EXPECT_EQ(pass(rules, golden.stream, 11, answer), golden.stream);
    const bool refused = golden.name == "chat_refusal";
    ASSERT_EQ(answer.has_value(), !refused) << golden.name;
    if (!refused) {
      Plain learned = Plain::parse(answer->completion);
      const Plain expected = Plain::parse(golden.answer);
      EXPECT_EQ(learned["choices"], expected["choices"]);
      EXPECT_EQ(learned.value("usage", Plain()), expected.value("usage", Plain()));
    }
    rules.strip_usage = true;
    std::string without;
    for (const SseEvent& event : events_of(golden.stream, 100))
      if (!is_usage_chunk(event.data)) without += event.raw;
    for (const size_t bytes : {1UL, 13UL, 4096UL})
      EXPECT_EQ(pass(rules, golden.stream, bytes, answer), without) << golden.name;
    EXPECT_EQ(answer.has_value(), !refused);
  }
}

TEST(AnswerReader, WhatIsNotLearned) {
  const std::string head = R"(data: {"id":"x","created":1,"model":"m","choices":[{"index":0,"delta":)";
  const std::string good = head + R"({"role":"assistant","content":"a"},"finish_reason":null}]})" + "\n\n";
  const std::string stop = head + R"({},"finish_reason":"stop"}]})" + "\n\n";
  const std::string length = head + R"({},"finish_reason":"length"}]})" + "\n\n";
  const std::string done = "data: [DONE]\n\n";
  struct Case {
    std::string stream;
    const char* why;
  };
  const std::vector<Case> cases = {
      {good + stop, "cut"},
      {good + done, "finish_reason"},
      {good + length + done, "finish_reason"},
      {good + "data: {broken\n\n" + stop + done, "malformed"},
      {good + "data: {\"error\":{\"message\":\"late\"}}\n\n" + stop + done, "malformed"},
      {good + "data: {\"choices\":[1]}\n\n" + stop + done, "malformed"},
      {good + "data: {\"choices\":[{\"index\":99999,\"delta\":{}}]}\n\n" + stop + done, "malformed"},
      {good + "data: " + std::string(300, '[') + "\n\n" + stop + done, "malformed"},
      {stop + done, "empty"},
      {done, "no_choices"},
      {"", "cut"},
      {good + "data: " + std::string(5000, 'x') + "\n\n" + stop + done, "malformed"},
  };
  for (const Case& c : cases) {
    Result<Answer> answer = fail(ErrorCode::kInternal, "");
    EXPECT_EQ(pass({Dialect::kChat, true, false, true, 1 << 20}, c.stream, 50, answer), c.stream);
    ASSERT_FALSE(answer) << c.stream;
    EXPECT_EQ(answer.error().message, c.why) << c.stream;
  }
}

TEST(AnswerReader, LargeStreamsArePassedOnUnread) {
  const std::string event = "data: " + std::string(3000, 'x') + "\n\n";
  for (const bool strip : {false, true}) {
    Result<Answer> answer = fail(ErrorCode::kInternal, "");
    EXPECT_EQ(pass({Dialect::kChat, true, strip, true, 1000}, event + event + event, 100, answer),
              event + event + event);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().message, "too_large");
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "data: {\"choices\":[]}\n\n";
  Result<Answer> answer = fail(ErrorCode::kInternal, "");
  EXPECT_EQ(pass({Dialect::kChat, true, true, true, 1000}, many, 100, answer), many);
  EXPECT_FALSE(answer);
}

TEST(SseReader, LineEndsOfAllKinds) {
  for (const char* end : {"\n", "\r\n", "\r"}) {
    const std::string e(end);
    const auto events = events_of("data: a" + e + "data: b" + e + e + ":c" + e + e + "data" + e + e +
                                      "data:x" + e + e + (e == "\r" ? "\n" : ""),
                                  1);
    ASSERT_GE(events.size(), 4U) << e.size();
    EXPECT_EQ(events[0].data, "a\nb");
    EXPECT_EQ(events[1].data, "");
    EXPECT_EQ(events[3].data, "x");
  }
  SseReader reader;
  reader.feed(
      "\xEF\xBB\xBF"
      "data: bom\n\nrest");
  EXPECT_EQ(reader.next()->data, "bom");
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.take_rest(), "rest");
  EXPECT_FALSE(reader.has_rest());
}

TEST(Replay, UsageOnlyWhenAskedAndOneIdForAllChunks) {
  const std::string answer =
      R"({"id":"","created":0,"object":"chat.completion","model":"m","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"one two three"},"finish_reason":"stop"}],)"
      R"("usage":{"total_tokens":5}})";
  const auto without = render_sse(Dialect::kChat, answer, {false, "chatcmpl-1", 77});
  EXPECT_EQ(without->find("usage"), std::string::npos);
  const auto with = render_sse(Dialect::kChat, answer, {true, "chatcmpl-1", 77});
  const auto events = events_of(*with, 1000);
  ASSERT_EQ(events.size(), 7U);  // role, three words, finish, usage, [DONE]
  EXPECT_EQ(Plain::parse(events[0].data)["choices"][0]["delta"],
            Plain::parse(R"({"role":"assistant","content":""})"));
  EXPECT_EQ(Plain::parse(events[2].data)["choices"][0]["delta"]["content"], " two");
  EXPECT_TRUE(Plain::parse(events[2].data)["usage"].is_null());
  EXPECT_EQ(Plain::parse(events[5].data)["usage"]["total_tokens"], 5);
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    EXPECT_EQ(Plain::parse(events[i].data)["id"], "chatcmpl-1");
    EXPECT_EQ(Plain::parse(events[i].data)["created"], 77);
  }
}

TEST(Replay, WhatIsNoAnswer) {
  for (const char* text :
       {"", "[]", "{}", R"({"choices":1})", R"({"choices":[1]})", R"({"choices":[{"index":0}]})"})
    EXPECT_FALSE(render_sse(Dialect::kChat, text, {})) << text;
}

TEST(Replay, PiecesAreWholeWordsAndCharacters) {
  using testing::ElementsAre;
  EXPECT_THAT(natural_pieces("How do I?"), ElementsAre("How", " do", " I?"));
  EXPECT_THAT(natural_pieces(""), ElementsAre());
  EXPECT_THAT(natural_pieces(" "), ElementsAre(" "));
  std::string chinese;
  for (int i = 0; i < 2000; ++i) chinese += "\xE6\xB0\xB4";
  std::string words;
  for (int i = 0; i < 20000; ++i) words += "word ";
  for (const std::string& text : {chinese, words, std::string(100'000, 'x')}) {
    const auto pieces = natural_pieces(text);
    EXPECT_LE(pieces.size(), 300U);
    std::string joined;
    for (const auto piece : pieces) {
      EXPECT_FALSE(piece.empty());
      EXPECT_NE(static_cast<unsigned char>(piece.front()) & 0xC0U, 0x80U);
      joined += piece;
    }
    EXPECT_EQ(joined, text);
  }
}

TEST(Admission, RefusalTexts) {
  for (const char* text :
       {"I'm sorry, but I can't help with that.", "  I\xE2\x80\x99m sorry, but I can\xE2\x80\x99t do it.",
        "I cannot assist with that request.", "As an AI language model, I cannot"})
    EXPECT_TRUE(is_refusal_text(text)) << text;
  for (const char* text :
       {"", "Sorry to hear that! Reset it in the settings.", "I can't stop loving you is a song."})
    EXPECT_FALSE(is_refusal_text(text)) << text;
  EXPECT_FALSE(is_refusal_text("I'm sorry, but I can't " + std::string(400, 'x')));
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
