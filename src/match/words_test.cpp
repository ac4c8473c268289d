#include "match/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace enhanced_gptcache::match {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts_of(std::string_view text) {
  const Words words(text);
  std::vector<std::string> texts;
  for (const Word& word : words.words()) texts.emplace_back(word.text);
  return texts;
}

std::vector<std::string> numbers_in(std::string_view text) {
  const Words words(text);
  std::vector<std::string> values;
  for (const Number& number : words.numbers()) values.push_back((number.soft ? "~" : "") + number.value);
  return values;
}

TEST(Words, SplitsAndLowersAndOpensContractions) {
  EXPECT_THAT(texts_of("What's the Capital, of France?"),
              ElementsAre("what", "the", "capital", "of", "france"));
  EXPECT_THAT(texts_of("I can't, won't and don't"),
              ElementsAre("i", "can", "not", "will", "not", "and", "do", "not"));
  EXPECT_THAT(texts_of("It isn\xe2\x80\x99t. is'nt"), ElementsAre("it", "is", "not", "is", "not"));
  EXPECT_THAT(texts_of("they're we'll O'Brien's"), ElementsAre("they", "we", "o", "brien"));
  EXPECT_THAT(texts_of("C++ and C# and 3.14"), ElementsAre("c++", "and", "c#", "and", "3.14"));
  EXPECT_THAT(texts_of("caf\xc3\xa9\xe2\x80\xa6"
                       "na\xc3\xafve"),
              ElementsAre("caf\xc3\xa9", "na\xc3\xafve"));
  EXPECT_THAT(texts_of(""), IsEmpty());
  EXPECT_THAT(texts_of(" ?!.'"), IsEmpty());
  EXPECT_THAT(texts_of("n't"), ElementsAre("n"));
}

TEST(Words, KnowsHowWordsWereWritten) {
  const Words words("Is NASA in Houston? Yes. it is");
  EXPECT_TRUE(words[0].sentence_start);
  EXPECT_TRUE(words[1].all_upper);
  EXPECT_TRUE(words[3].capitalised);
  EXPECT_FALSE(words[3].sentence_start);
  EXPECT_TRUE(words[4].sentence_start);
  EXPECT_TRUE(words[5].sentence_start);
  EXPECT_FALSE(words.is_title());
  EXPECT_TRUE(Words("How To Bake A Cake").is_title());
  EXPECT_TRUE(Words("HOW TO BAKE A CAKE").is_title());
  EXPECT_FALSE(Words("Is Adam Green English?").is_title());
}

TEST(Words, AnyBytesAreSafe) {
  std::mt19937 random(4);
  const std::string_view alphabet = "aZ9'.,n t\xe2\x80\x99\xff\x80 +#-k";
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 40, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    const Words words(text);
    size_t bytes = 0;
    for (const Word& word : words.words()) {
      ASSERT_FALSE(word.text.empty());
      ASSERT_LE(word.stem.size(), word.text.size());
      bytes += word.text.size();
    }
    ASSERT_LE(bytes, text.size() * 2 + 8);
  }
}

struct Stems {
  const char* a;
  const char* b;
};
class StemTest : public testing::TestWithParam<Stems> {};
TEST_P(StemTest, Meet) { EXPECT_EQ(stem_of(GetParam().a), stem_of(GetParam().b)); }
INSTANTIATE_TEST_SUITE_P(Table, StemTest,
                         testing::Values(Stems{"increase", "increasing"}, Stems{"increased", "increases"},
                                         Stems{"studies", "study"}, Stems{"run", "running"},
                                         Stems{"buy", "buying"}, Stems{"sell", "selling"},
                                         Stems{"class", "classes"}, Stems{"stopped", "stop"},
                                         Stems{"permanent", "permanently"}));
TEST(Stem, KeepsDifferentWordsApart) {
  EXPECT_NE(stem_of("king"), stem_of("k"));
  EXPECT_NE(stem_of("bus"), stem_of("bu"));
  EXPECT_EQ(stem_of("thing"), "thing");
}

TEST(Numbers, HaveOneSpelling) {
  EXPECT_THAT(numbers_in("10,000 and 10k and ten thousand"), ElementsAre("10000", "10000", "10000"));
  EXPECT_THAT(numbers_in("5 million, 2.5 million, 1,00,000 and 3 lakh"),
              ElementsAre("5000000", "2500000", "100000", "300000"));
  EXPECT_THAT(numbers_in("iPhone7 8th 007 v1.10.0 3.5"), ElementsAre("7", "8", "7", "1.10.0", "3.5"));
  EXPECT_THAT(numbers_in("2016-05-01 at 5:30, 1/2"), ElementsAre("2016", "5", "1", "5", "30", "1", "2"));
  EXPECT_THAT(numbers_in("twenty five or twenty-five, thirty"), ElementsAre("25", "25", "30"));
  EXPECT_THAT(numbers_in("World War II, part IV, an ii"), ElementsAre("2", "4"));
  EXPECT_THAT(numbers_in("the first one, both"), ElementsAre("~1", "~1", "~2"));
  EXPECT_THAT(numbers_in("a hundred or a million"), ElementsAre("100", "1000000"));
  EXPECT_THAT(numbers_in("none at all k mn"), IsEmpty());
  EXPECT_THAT(numbers_in("1,2,3"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(numbers_in("0 and 00"), ElementsAre("0", "0"));
}

TEST(Numbers, HugeOnesStayThemselves) {
  EXPECT_THAT(numbers_in("99999999999999999999 trillion"), ElementsAre("99999999999999999999*1000000000000"));
  EXPECT_THAT(numbers_in("9000000 trillion"), ElementsAre("9000000000000000000"));
}

}  // namespace
}  // namespace enhanced_gptcache::match
