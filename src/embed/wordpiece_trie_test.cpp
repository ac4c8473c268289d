#include "embed/wordpiece_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace enhanced_gptcache::embed {
namespace {

TEST(WordPieceTrie, FindsTheLongestEntry) {
  const WordPieceTrie trie({{"a", 1}, {"abc", 2}, {"b", 3}, {"##x", 4}, {"", 9}, {"b", 5}});
  const auto expect = [&](std::string_view text, int32_t id, size_t length) {
    const WordPieceTrie::Match match = trie.longest(WordPieceTrie::kRoot, text);
    EXPECT_EQ(match.id, id) << text;
    EXPECT_EQ(match.length_bytes, length) << text;
  };
  expect("abcd", 2, 3);
  expect("abd", 1, 1);
  expect("b", 5, 1);  // the last of two equal entries
  expect("c", -1, 0);
  expect("", -1, 0);
  const uint32_t continuation = trie.walk(WordPieceTrie::kRoot, "##");
  ASSERT_NE(continuation, WordPieceTrie::kNone);
  EXPECT_EQ(trie.longest(continuation, "xyz").id, 4);
  EXPECT_EQ(trie.walk(WordPieceTrie::kRoot, "#a"), WordPieceTrie::kNone);
}

TEST(WordPieceTrie, EmptyTrieMatchesNothing) {
  for (const WordPieceTrie& trie :
       {WordPieceTrie(), WordPieceTrie(std::vector<std::pair<std::string_view, int32_t>>{})}) {
    EXPECT_EQ(trie.longest(WordPieceTrie::kRoot, std::string("\x00\xFF", 2)).id, -1);
    EXPECT_EQ(trie.walk(WordPieceTrie::kRoot, "a"), WordPieceTrie::kNone);
  }
}

// Against a map, over small and full alphabets, dense and sparse.
TEST(WordPieceTrie, EqualsSearchInAMap) {
  std::mt19937 source(11);
  for (const unsigned letters : {2U, 7U, 256U}) {
    const auto random_bytes = [&](size_t length_max) {
      std::string bytes;
      for (size_t i = source() % (length_max + 1); i > 0; --i)
        bytes.push_back(static_cast<char>(source() % letters));
      return bytes;
    };
    std::map<std::string, int32_t> map;
    for (int32_t i = 0; i < 5000; ++i) map.emplace(random_bytes(9), i);
    map.erase("");
    std::vector<std::pair<std::string_view, int32_t>> entries(map.begin(), map.end());
    std::shuffle(entries.begin(), entries.end(), source);
    const WordPieceTrie trie(entries);
    for (int round = 0; round < 20'000; ++round) {
      const std::string text = random_bytes(12);
      size_t length = text.size();
      while (length > 0 && !map.contains(text.substr(0, length))) --length;
      const WordPieceTrie::Match match = trie.longest(WordPieceTrie::kRoot, text);
      ASSERT_EQ(match.length_bytes, length);
      ASSERT_EQ(match.id, length == 0 ? -1 : map.at(text.substr(0, length)));
    }
  }
}

}  // namespace
}  // namespace enhanced_gptcache::embed
