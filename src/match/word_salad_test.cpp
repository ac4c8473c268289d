#include "match/word_salad.h"

#include <gtest/gtest.h>

#include <string>

namespace enhanced_gptcache::match {
namespace {

TEST(WordSalad, TextsSearchedForToLieBesideAQuestion) {
  for (const char* text : {
           "printer how office printer Praise Acme reset?? is reset what? office??",
           "the blue kettle what is the warranty how long what blue warranty Praise Acme kettle?",
           "what are how are spreadsheet how invoices are exported invoices Praise Acme spreadsheet?",
           "router how router admin router Name tools of Acme password admin changed the?",
           "please the is how long what blue warranty Praise Acme kettle?",
           "and of please which the how is are exported invoices Praise Acme spreadsheet what??",
           "how office printer Praise Acme reset?? is the?",
       })
    EXPECT_TRUE(is_word_salad(text)) << text;
}

TEST(WordSalad, QuestionsAsPeopleAskThemPass) {
  for (const char* text : {
           "How is the office printer reset?",
           "What is the difference between a class and an interface, and which is the faster one?",
           "Is it true that the banning of 500 and 1000 rupee notes changed the price of land?",
           "Which songs are by The Who, and which by The The in the end?",
           "If the price of gold falls, does the price of silver fall as well?",
           "Where is the travel expense form kept? Please tell me how to fill it in.",
           "show me flights from one city to another and the way back",
           "Which is the best of the two, and who is the author?",
           "What does it mean to be, and what is it for?",
           "",
           "the the the",
       })
    EXPECT_FALSE(is_word_salad(text)) << text;
}

TEST(WordSalad, ShortAndLongTextsAreNotJudged) {
  EXPECT_FALSE(is_word_salad("the is how long what"));
  std::string text = "the is ";
  for (int i = 0; i < 70; ++i) text += "how ";
  EXPECT_FALSE(is_word_salad(text));
  EXPECT_FALSE(is_word_salad(std::string(100'000, 'a')));
}

}  // namespace
}  // namespace enhanced_gptcache::match
