#include "http/chunk_decoder.h"

#include <gtest/gtest.h>

#include <string>

namespace enhanced_gptcache::http {
namespace {

constexpr size_t kNoLimit = size_t{1} << 30U;

const char* decode_all(std::string_view text, std::string& out, ChunkDecoder& decoder) {
  size_t used = 0;
  return decoder.decode(text, out, kNoLimit, used);
}

TEST(ChunkDecoder, DecodesWhereverTheBytesAreCut) {
  const std::string text =
      "5\r\nhello\r\n1;ext=\"a\"\r\n \r\nA\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\nNEXT";
  const size_t body_bytes = text.size() - 4;
  for (size_t cut = 0; cut <= body_bytes; ++cut) {
    ChunkDecoder decoder;
    std::string out;
    size_t used = 0;
    ASSERT_EQ(decoder.decode(std::string_view(text).substr(0, cut), out, kNoLimit, used), nullptr);
    EXPECT_EQ(used, cut);
    EXPECT_EQ(decoder.done(), cut == body_bytes);
    ASSERT_EQ(decoder.decode(std::string_view(text).substr(cut), out, kNoLimit, used), nullptr);
    EXPECT_TRUE(decoder.done());
    EXPECT_EQ(out, "hello 0123456789");
    EXPECT_EQ(cut + used, body_bytes) << "what follows the body is not touched";
  }
}

TEST(ChunkDecoder, StopsAtTheOutputLimit) {
  ChunkDecoder decoder;
  std::string out;
  size_t used = 0;
  const std::string_view text = "a\r\n0123456789\r\n0\r\n\r\n";
  EXPECT_EQ(decoder.decode(text, out, 4, used), nullptr);
  EXPECT_EQ(out, "0123");
  EXPECT_EQ(used, 7U);
  EXPECT_EQ(decoder.decode(text.substr(used), out, kNoLimit, used), nullptr);
  EXPECT_EQ(out, "0123456789");
  EXPECT_TRUE(decoder.done());
}

TEST(ChunkDecoder, RefusesWhatParsersDisagreeAbout) {
  const std::string long_line(5000, 'a');
  const std::string table[] = {"\r\n",
                               "x\r\n",
                               " 5\r\nhello\r\n",
                               "5 \r\nhello\r\n",
                               "+5\r\nhello\r\n",
                               "0x5\r\nhello\r\n",
                               "-1\r\n",
                               ";ext\r\n",
                               "5\nhello\r\n",
                               "5\r\rhello",
                               "5\r\nhelloX\r\n",
                               "5\r\nhello\rX",
                               "5\r\nhello\n",
                               "1234567890abcdef\r\n",
                               "5;a\nb\r\nhello",
                               "5;" + long_line + "\r\n",
                               "0\r\nA: b\n\r\n",
                               "0\r\nA: b\r\rX",
                               "0\r\n" + long_line + "\r\n\r\n"};
  for (const std::string& text : table) {
    ChunkDecoder decoder;
    std::string out;
    EXPECT_NE(decode_all(text, out, decoder), nullptr) << text.substr(0, 40);
  }
}

TEST(ChunkDecoder, BoundsTheSumOfTrailers) {
  ChunkDecoder decoder;
  std::string text = "0\r\n";
  for (int i = 0; i < 100; ++i) text += "A: " + std::string(1000, 'b') + "\r\n";
  std::string out;
  EXPECT_NE(decode_all(text + "\r\n", out, decoder), nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache::http
