#include "embed/wordpiece.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace enhanced_gptcache::embed {
namespace {

using Ids = std::vector<int32_t>;

WordPieceSpec small_spec() {
  WordPieceSpec spec;
  spec.vocab = {{"[PAD]", 0}, {"[UNK]", 1}, {"[CLS]", 2}, {"[SEP]", 3}, {"play", 4}, {"##ing", 5},
                {"##s", 6},   {"cafe", 7},  {"!", 8},     {"a", 9},     {"##a", 10}, {"\u65E5", 11},
                {"#", 12},    {"##", 13},   {"[", 14},    {"]", 15},    {"cls", 16}};
  spec.added = {{"[CLS]", 2}, {"[SEP]", 3}};
  spec.unk_id = 1;
  spec.cls_id = 2;
  spec.sep_id = 3;
  return spec;
}

Ids encode(const WordPieceModel& model, std::string_view text) {
  Ids ids;
  model.encode(text, ids);
  return ids;
}

TEST(NextWord, SplitsAtSpaceAndPunctuation) {
  const auto words = [](std::string_view text) {
    std::string joined;
    size_t position = 0;
    while (true) {
      const std::string_view word = next_word(CharTable::instance(), text, position);
      if (word.empty()) return joined;
      joined.append(word).append("|");
    }
  };
  EXPECT_EQ(words(""), "");
  EXPECT_EQ(words("  \n"), "");
  EXPECT_EQ(words("a b"), "a|b|");
  EXPECT_EQ(words("don't!! $5"), "don|'|t|!|!|$|5|");
  EXPECT_EQ(words(" \u00E9t\u00E9\u3000x\u2019s\u2014"), "\u00E9t\u00E9|x|\u2019|s|\u2014|");
}

TEST(WordPieceModel, LongestMatchFirst) {
  const WordPieceModel model(small_spec());
  const struct {
    std::string text;
    Ids expected;
  } cases[] = {
      {"", {}},
      {"playing plays play", {4, 5, 4, 6, 4}},
      {"PLAYING CAF\u00C9!", {4, 5, 7, 8}},
      {"played", {1}},  // the rest of the word is in no entry, so the whole word is unknown
      {"player plays", {1, 4, 6}},
      {"\u65E5\u65E5a", {11, 11, 9}},
      {"##", {12, 12}},  // punctuation is split before the continuation prefix could match
      {"a[SEP]a", {9, 3, 9}},
      {"[CLS] [cls] [CLS", {2, 14, 16, 15, 14, 16}},
      {"[[SEP]]", {14, 3, 15}},
  };
  for (const auto& test : cases) EXPECT_EQ(encode(model, test.text), test.expected) << test.text;
}

TEST(WordPieceModel, AppendsToIds) {
  const WordPieceModel model(small_spec());
  Ids ids{42};
  model.encode("play", ids);
  model.encode("xyz", ids);
  EXPECT_EQ(ids, (Ids{42, 4, 1}));
}

TEST(WordPieceModel, WordsOfMoreThan100CharactersAreUnknown) {
  const WordPieceModel model(small_spec());
  EXPECT_EQ(encode(model, std::string(100, 'a')).size(), 100U);
  EXPECT_EQ(encode(model, std::string(101, 'a')), (Ids{1}));
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\u00E9";  // 200 bytes, after NFD 100 characters "e"
  EXPECT_EQ(encode(model, wide), (Ids{1}));        // no "e" in the vocabulary
  WordPieceSpec spec = small_spec();
  spec.word_chars_max = 3;
  EXPECT_EQ(encode(WordPieceModel(spec), "aaa aaaa"), (Ids{9, 10, 10, 1}));
}

TEST(WordPieceModel, WithoutContinuationEntriesOnlyWholeWordsMatch) {
  WordPieceSpec spec = small_spec();
  spec.vocab = {{"a", 1}, {"[UNK]", 0}};
  spec.unk_id = 0;
  EXPECT_EQ(encode(WordPieceModel(spec), "a aa"), (Ids{1, 0}));
}

TEST(WordPieceModel, AddedTokensStripAndNormalise) {
  WordPieceSpec spec = small_spec();
  spec.added = {{"<l>", 20, true, false, false},
                {"<r>", 21, false, true, false},
                {"Caf\u00C9 A", 22, false, false, true},
                {"<r>x", 23, false, false, false},
                {"", 99, false, false, false}};
  const WordPieceModel model(spec);
  EXPECT_EQ(encode(model, "a \u3000<l> a"), (Ids{9, 20, 9}));
  EXPECT_EQ(encode(model, "a<r>\n a"), (Ids{9, 21, 9}));
  EXPECT_EQ(encode(model, "<r>x<r>"), (Ids{23, 21}));  // the longest of those that start there
  EXPECT_EQ(encode(model, "acafe\u0301 aa"), (Ids{9, 22, 9}));
  EXPECT_EQ(encode(model, "<r>  <l>"), (Ids{21, 20}));  // white space is taken once
  EXPECT_EQ(model.id_limit(), 24U);
}

TEST(WordPieceModel, HugeTextIsLinear) {
  const WordPieceModel model(small_spec());
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "playing \u00E9[SEP] ";
  EXPECT_EQ(encode(model, text).size(), 400'000U);
  EXPECT_EQ(encode(model, std::string(3'000'000, 'a')), (Ids{1}));
  EXPECT_EQ(encode(model, std::string(1'000'000, '[')).size(), 1'000'000U);
}

TEST(WordPieceModel, ThreadsShareOneModel) {
  const WordPieceModel model(small_spec());
  std::vector<std::thread> threads;
  std::vector<int> wrong(8);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) wrong[t] += encode(model, "Playing caf\u00E9 [SEP]") != Ids{4, 5, 7, 3};
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(8));
}

}  // namespace
}  // namespace enhanced_gptcache::embed
