#include "eval/line_reader.h"

#include "eval/test_files.h"

namespace enhanced_gptcache::eval {
namespace {

class LineReaderTest : public testing::Test {
 protected:
  Result<LineOutcome> read(const std::string& path, size_t limit = 0) {
    lines_.clear();
    return read_lines(path, limit, [this](std::string_view line) -> Result<void> {
      if (line == "bad") return fail(ErrorCode::kInvalidArgument, "it says bad");
      lines_.emplace_back(line);
      return {};
    });
  }

  TestFiles files_;
  std::vector<std::string> lines_;
};

TEST_F(LineReaderTest, PlainAndGzippedAreTheSame) {
  const std::string text = "one\n\n  \t\ntwo\nbad\nthree";
  for (const std::string& path : {files_.write("a.jsonl", text), files_.write_gzip("a.jsonl.gz", text)}) {
    const auto outcome = read(path);
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(lines_, (std::vector<std::string>{"one", "two", "three"}));
    EXPECT_EQ(outcome->used, 3U);
    ASSERT_EQ(outcome->skipped, 1U);
    EXPECT_EQ(outcome->first_skipped[0].line, 5U);
    EXPECT_EQ(outcome->first_skipped[0].reason, "it says bad");
  }
}

TEST_F(LineReaderTest, LimitCountsUsedLines) {
  const auto outcome = read(files_.write("a", "bad\n1\n2\n3\n"), 2);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(lines_, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(outcome->skipped, 1U);
}

TEST_F(LineReaderTest, LinesAreKeptWholeAcrossPieces) {
  std::string text;
  for (int i = 0; i < 40'000; ++i) text += "line number " + std::to_string(i) + "\n";
  ASSERT_TRUE(read(files_.write_gzip("a.gz", text)));
  ASSERT_EQ(lines_.size(), 40'000U);
  EXPECT_EQ(lines_[31'234], "line number 31234");
}

TEST_F(LineReaderTest, ALineThatIsTooLongIsSkippedAndTheNextIsRead) {
  const auto outcome = read(files_.write("a", "1\n" + std::string(kLineBytesMax + 1, 'x') + "\n2\n"));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(lines_, (std::vector<std::string>{"1", "2"}));
  ASSERT_EQ(outcome->skipped, 1U);
  EXPECT_EQ(outcome->first_skipped[0].line, 2U);
  const auto at_the_end = read(files_.write("b", std::string(kLineBytesMax + 1, 'x')));
  ASSERT_TRUE(at_the_end);
  EXPECT_EQ(at_the_end->skipped, 1U);
  ASSERT_TRUE(read(files_.write("c", std::string(kLineBytesMax, 'x'))));
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(LineReaderTest, OnlySoManySkippedLinesAreNamed) {
  std::string text;
  for (size_t i = 0; i < kSkippedNamedMax + 5; ++i) text += "bad\n";
  const auto outcome = read(files_.write("a", text));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->skipped, kSkippedNamedMax + 5);
  EXPECT_EQ(outcome->first_skipped.size(), kSkippedNamedMax);
}

TEST_F(LineReaderTest, FilesThatCannotBeRead) {
  EXPECT_EQ(read(files_.path("absent")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read(files_.path("")).error().code, ErrorCode::kIo) << "a folder";
  EXPECT_EQ(read(files_.write("text.jsonl.gz", "no gzip\n")).error().code, ErrorCode::kCorrupt);
  const auto empty = read(files_.write("empty", ""));
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->used, 0U);
}

TEST_F(LineReaderTest, ATruncatedOrDamagedGzipFailsAtEveryLength) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  const std::string whole = files_.write_gzip("whole.gz", text);
  std::ifstream in(whole, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (size_t length = 1; length < bytes.size(); ++length) {
    const auto outcome = read(files_.write("cut.gz", bytes.substr(0, length)));
    ASSERT_FALSE(outcome) << length << " of " << bytes.size() << " bytes";
    EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt) << outcome.error().message;
  }
  std::string damaged = bytes;
  damaged[bytes.size() / 2] = static_cast<char>(~damaged[bytes.size() / 2]);
  EXPECT_FALSE(read(files_.write("damaged.gz", damaged)));
}

}  // namespace
}  // namespace enhanced_gptcache::eval
