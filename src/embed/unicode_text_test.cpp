#include "embed/unicode_text.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <random>

#include "base/canonical_json.h"

namespace enhanced_gptcache::embed {
namespace {

std::string normal(std::string_view text, NormalizerOptions options = {}) {
  std::string out;
  TextNormalizer(options).append(text, out);
  return out;
}

std::string repaired(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  std::string out;
  while (p < end) append_utf8(out, decode_utf8(p, end));
  return out;
}

TEST(DecodeUtf8, RoundTripsEveryCodePoint) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string bytes;
    append_utf8(bytes, code);
    const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
    ASSERT_EQ(decode_utf8(p, p + bytes.size()), code);
    ASSERT_EQ(p, reinterpret_cast<const unsigned char*>(bytes.data()) + bytes.size());
  }
}

TEST(DecodeUtf8, MaximalInvalidSequencesGiveOneReplacementEach) {
  const struct {
    std::string bytes, expected;
  } cases[] = {
      {"a\x80z", "a\uFFFDz"},        // a continuation byte alone
      {"\xC0\xAF", "\uFFFD\uFFFD"},  // overlong
      {"\xC1\xBF", "\uFFFD\uFFFD"},
      {"\xE0\x80\xAF", "\uFFFD\uFFFD\uFFFD"},  // overlong: E0 may not be followed by 80
      {"\xE0\xA0", "\uFFFD"},                  // truncated at the end
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},  // a surrogate
      {"\xF0\x9F\x98", "\uFFFD"},              // three of four bytes
      {"\xF0\x9F\x98z", "\uFFFDz"},
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xF5\xFF", "\uFFFD\uFFFD"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // the standard's own example
      {"\xC3\xA9", "\u00E9"},
  };
  for (const auto& test : cases) EXPECT_EQ(repaired(test.bytes), test.expected);
}

TEST(DecodeUtf8, AgreesWithTheRepairOfBase) {
  std::mt19937 source(5);
  const std::string_view likely(
      "\x00\x41\x7F\x80\x8F\x90\x9F\xA0\xBF\xC0\xC2\xDF\xE0\xE1\xED\xEF\xF0\xF1\xF4\xF5\xFF", 21);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (size_t i = source() % 12; i > 0; --i) bytes.push_back(likely[source() % likely.size()]);
    ASSERT_EQ(repaired(bytes), base::repair_utf8(bytes));
  }
}

// The digest was written after tools/tokenizer_unicode.py --check found no difference to the
// reference. Another utf8proc may classify characters differently: then that tool is to be run again.
TEST(CharTable, IsTheOneComparedWithTheReference) {
  uint64_t digest = 14695981039346656037U;  // FNV-1a
  const auto add = [&](uint64_t value) { digest = (digest ^ value) * 1099511628211U; };
  const CharTable& table = CharTable::instance();
  for (char32_t code = 0; code < 0x110000; ++code) {
    const CharTraits& traits = table[code];
    add(traits.flags);
    add(traits.combining_class);
    add(static_cast<uint32_t>(traits.lower_delta));
    for (size_t i = 0; i < traits.decomposition_length; ++i) add(traits.decomposition[i]);
  }
  EXPECT_EQ(digest, 7062898861352054422U) << "utf8proc " << utf8proc_version();
}

TEST(CharTable, ExceptionsChangeTheView) {
  const CharTable raw(false);
  const CharTable& table = CharTable::instance();
  EXPECT_NE(raw[0x2E43].flags & kCharPunctuation, 0);  // newer than the reference's categories
  EXPECT_EQ(table[0x2E43].flags & kCharPunctuation, 0);
  EXPECT_EQ(table[0x1C89].lower_delta, 1);  // newer than utf8proc
}

TEST(TextNormalizer, DefaultSteps) {
  const struct {
    std::string_view text, expected;
  } cases[] = {
      {"", ""},
      {"Hello, World", "hello, world"},
      {"a\tb\r\nc", "a b  c"},
      {std::string_view("a\0b\x01\x7F", 5), "ab"},
      {"Caf\u00E9 NA\u00CFVE", "cafe naive"},
      {"e\u0301\u0323x", "ex"},
      {"\u0130stanbul", "istanbul"},
      {"\u039F\u0394\u039F\u03A3", "\u03BF\u03B4\u03BF\u03C3"},  // no final-sigma rule, as the reference
      {"\u65E5\u672C", " \u65E5  \u672C "},
      {"\uD55C", "\u1112\u1161\u11AB"},
      {"\uAC00", "\u1100\u1161"},
      {"a\u00A0b\u3000c\u2028d", "a b c d"},
      {"a\u200Db\uE000c\uFFFDd", "abcd"},
      {"a\xFFz\xE2\x82", "az"},  // invalid UTF-8 reads as U+FFFD, which cleaning drops
      {"\u212B", "a"},           // Angstrom sign: A with a ring
  };
  for (const auto& test : cases) EXPECT_EQ(normal(test.text), test.expected) << test.text;
}

TEST(TextNormalizer, EachOptionAlone) {
  const NormalizerOptions none{false, false, false, false};
  const std::string text = "A\u00C9\u0130\t\u65E5\u200D";
  EXPECT_EQ(normal(text, none), text);
  NormalizerOptions one = none;
  one.clean_text = true;
  EXPECT_EQ(normal(text, one), "A\u00C9\u0130 \u65E5");
  one = none;
  one.handle_chinese_chars = true;
  EXPECT_EQ(normal(text, one), "A\u00C9\u0130\t \u65E5 \u200D");
  one = none;
  one.strip_accents = true;
  EXPECT_EQ(normal(text, one), "AEI\t\u65E5\u200D");
  one = none;
  one.lowercase = true;
  EXPECT_EQ(normal(text, one), "a\u00E9i\u0307\t\u65E5\u200D");
}

TEST(TextNormalizer, SpacingMarksAreOrderedByCombiningClass) {
  // U+1D16D (class 226) and U+1D165 (216) are spacing marks, so they stay, in the order of NFD, also
  // across a nonspacing mark that is dropped and up to the next ASCII character.
  const std::string high = "\U0001D16D";
  const std::string low = "\U0001D165";
  EXPECT_EQ(normal("x" + high + "\u0301" + low + "y"), "x" + low + high + "y");
  EXPECT_EQ(normal("x" + high + low), "x" + low + high);
  EXPECT_EQ(normal("x" + high + "\x01" + low + "y"), "x" + low + high + "y");  // the control is no starter
  EXPECT_EQ(normal("x" + high + " " + low), "x" + high + " " + low);
}

TEST(TextNormalizer, AppendsAndTakesManyMarks) {
  std::string out = "before ";
  std::string text = "a";
  for (int i = 0; i < 100'000; ++i) text += i % 2 == 0 ? "\U0001D16D" : "\U0001D165";
  TextNormalizer(NormalizerOptions{}).append(text, out);
  EXPECT_TRUE(out.starts_with("before a\U0001D165\U0001D165"));
  EXPECT_EQ(out.size(), 7 + text.size());
}

}  // namespace
}  // namespace enhanced_gptcache::embed
