// Guards that look at how a text is written and at who does what, each pair both ways round.

#include <gtest/gtest.h>

#include <random>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

struct Pair {
  const char* a;
  const char* b;
  const char* guard;  ///< that must be among the refusing ones; null: all pass
};

class WrittenTest : public testing::TestWithParam<Pair> {};

TEST_P(WrittenTest, RefusesBothWaysOrPassesBothWays) {
  const auto [a, b, guard] = GetParam();
  for (const auto& [query, candidate] : {std::pair(a, b), std::pair(b, a)}) {
    std::string names;
    for (const auto& [name, verdict] : all_checks(query, candidate)) {
      if (verdict != "pass") names += name + " ";
    }
    if (guard == nullptr)
      EXPECT_EQ(names, "") << query << " | " << candidate;
    else
      EXPECT_NE(names.find(guard), std::string::npos) << query << " | " << candidate << ": " << names;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Operators, WrittenTest,
    testing::Values(Pair{"What does 7 // 2 give in Python?", "What does 7 / 2 give in Python?", "writing"},
                    Pair{"Why is n++ slower here?", "Why is ++n slower here?", "writing"},
                    Pair{"Explain if (!ready) in C", "Explain if (ready) in C", "writing"},
                    Pair{"What matches \\w in a pattern?", "What matches \\W in a pattern?", "writing"},
                    Pair{"What is 2^8?", "What is 2*8?", "writing"},
                    Pair{"Solve y < 3 and y > 1", "Solve y < 1 and y > 3", "writing"},
                    Pair{"Is char* the same as void?", "Is char** the same as void?", "writing"},
                    Pair{"What does tar -x do?", "What does tar -X do?", "writing"},
                    Pair{"How do I remove ./build?", "How do I remove /build?", "writing"},
                    Pair{"What is at https://a.example/Docs ?", "What is at https://a.example/docs ?",
                         "writing"},
                    Pair{"Is it warm at -3 degrees?", "Is it warm at 3 degrees?", "writing"},
                    Pair{"Noon in UTC+4 is when?", "Noon in UTC-4 is when?", "writing"},
                    Pair{"What is 6! here?", "What is 6 here?", "writing"},
                    Pair{"Is {\"k\": 2,} valid?", "Is {\"k\": 2} valid?", "writing"},
                    Pair{"What does row[2:] give?", "What does row[:2] give?", "writing"},
                    Pair{"What does git log old..new list?", "What does git log old...new list?", "writing"},
                    Pair{"Well... what is rust?", "Well, what is rust?", nullptr},
                    Pair{"Is the x > 0 test needed?", "is the x>0 test needed", nullptr},
                    Pair{"What is **bold** text?", "What is bold text?", nullptr},
                    Pair{"Tips for cats and/or dogs!", "Tips for cats and/or dogs", nullptr},
                    Pair{"Is a 5+ year old car fine?", "Is a 5 year old car fine?", nullptr},
                    Pair{"What is state-of-the-art sound?", "What is state of the art sound?", nullptr}));

INSTANTIATE_TEST_SUITE_P(
    Letters, WrittenTest,
    testing::Values(Pair{"How long takes 10 GB over this line?", "How long takes 10 Gb over this line?",
                         "writing"},
                    Pair{"Is a 5 mW beam harmful?", "Is a 5 MW beam harmful?", "writing"},
                    Pair{"Is Co toxic?", "Is CO toxic?", "writing"},
                    Pair{"Is Blue42x a good password?", "Is bLUE42x a good password?", "writing"},
                    Pair{"What does US mean?", "What does us mean?", "writing"},
                    Pair{"Is 'Bar' == 'bar' true?", "Is 'Bar' == 'Bar' true?", "writing"},
                    Pair{"How do you spell 'grey'?", "How do you spell 'gray'?", "writing"},
                    Pair{"¿Qué es un año?", "¿Qué es un ano?", "writing"},
                    Pair{"I feel 😀 now, why?", "I feel 😡 now, why?", "writing"},
                    Pair{"Say 'hello' in Greek", "Say hello in Greek", nullptr},
                    Pair{"How big is FRANCE?", "How big is France?", nullptr},
                    Pair{"how big is the usa", "How big is the USA?", nullptr},
                    Pair{"What's the dog's name in Asterix?", "What is the dog's name in Asterix?", nullptr},
                    Pair{"Where is Polish made?", "Where is polish made?", "writing"},
                    Pair{"What does K do in vim?", "What does k do in vim?", "writing"},
                    Pair{"When is a Double slower in Java?", "When is a double slower in Java?", "writing"},
                    Pair{"Hash of 'Abc' in hex?", "Hash of 'abc' in hex?", "writing"},
                    Pair{"is Polish hard to learn", "Is polish hard to learn?", nullptr},
                    Pair{"Is vitamin C good for me?", "is vitamin c good for me", nullptr},
                    Pair{"Who sings 'Let it be'?", "Who sings 'let it be'?", nullptr},
                    Pair{"HOW DO I KNIT A SCARF", "How do I knit a scarf?", nullptr}));

INSTANTIATE_TEST_SUITE_P(
    Roles, WrittenTest,
    testing::Values(Pair{"My landlord threatened me", "I threatened my landlord", "roles"},
                    Pair{"I lent my sister a bike, who pays?", "My sister lent me a bike, who pays?",
                         "roles"},
                    Pair{"Who beat Napoleon?", "Who did Napoleon beat?", "roles"},
                    Pair{"What eats frogs?", "What do frogs eat?", "roles"},
                    Pair{"I was bitten by a horse", "I bitten a horse", "roles"},
                    Pair{"Why do nurses envy doctors?", "Why do doctors envy nurses?", "roles"},
                    Pair{"A dog bit me", "I was bitten by a dog", nullptr},
                    Pair{"How can I learn knitting?", "Help me learn knitting", nullptr},
                    Pair{"Which tools do carpenters use?", "Which tools are used by carpenters?", nullptr},
                    Pair{"Compare tea with coffee", "Compare coffee with tea", nullptr},
                    Pair{"Is Ann engaged to Ben?", "Is Ben engaged to Ann?", nullptr}));

INSTANTIATE_TEST_SUITE_P(
    Others, WrittenTest,
    testing::Values(Pair{"Is 7am too early to call?", "Is 7pm too early to call?", "time"},
                    Pair{"Wake me at 6 p.m.", "Wake me at 6 a.m.", "time"},
                    Pair{"Is it 6 pm there?", "Is it 6 p.m. there?", nullptr},
                    Pair{"Was the fee reasonable?", "Was the fee unreasonable?", "antonym"},
                    Pair{"Is the valve active in winter?", "Is the valve inactive in winter?", "antonym"},
                    Pair{"Is this film over rated?", "Is this film overrated?", nullptr},
                    Pair{"Which cycle is best?", "Which bicycle is best?", nullptr},
                    Pair{"Why do people trust banks?", "Why do people distrust banks?", "antonym"},
                    Pair{"How to zoom in on a map", "How to zoom out on a map", "antonym"},
                    Pair{"Rights of tenants in Ohio", "Rights of landlords in Ohio", "antonym"},
                    Pair{"Is upstream traffic encrypted?", "Is downstream traffic encrypted?", "antonym"},
                    Pair{"What are inbound rules?", "What are outbound rules?", "antonym"},
                    Pair{"How large is a megabyte?", "How large is a mebibyte?", "antonym"},
                    Pair{"Is the rent paid biweekly?", "Is the rent paid weekly?", "antonym"},
                    Pair{"Can I bring cash into Cuba?", "Can I bring cash out of Cuba?", "antonym"},
                    Pair{"May I eat honey with sugar?", "May I eat honey instead of sugar?", "antonym"},
                    Pair{"What do I use instead of eggs?", "What can I replace eggs with?", nullptr},
                    Pair{"Is it open over 10 days?", "Is it open up to 10 days?", "quantifiers"},
                    Pair{"Is it free above 10 days?", "Is it free after more than 10 days?", nullptr},
                    Pair{"Does it hold anything but water?", "Does it hold water?", "negation"},
                    Pair{"How heavy is the Pixel 8?", "How heavy is the Pixel 8 Pro?", "identifiers"},
                    Pair{"How heavy is the pixel 8 lite?", "How heavy is the Pixel 8 Pro?", "identifiers"},
                    Pair{"Is Pixel 8 Pro heavy?", "Is the Pixel 8 Pro a heavy phone?", nullptr},
                    Pair{"Name at least two rivers", "Name only two rivers", "quantifiers"},
                    Pair{"Fruit rich in iron", "Everything except fruit rich in iron", "negation"},
                    Pair{"Why do firms fail to grow?", "Why do firms grow?", "negation"},
                    Pair{"Is it important to understand art?", "Is understanding art important?", nullptr}));

TEST(Writing, ReadsAnyBytes) {
  std::mt19937 random(7);
  const std::string_view marks =
      "+-*/%=<>!&|^~\\\"'`()[]{};,.:?#$@ \n\taB1\xc3\xa9\xf0\x9f\x98\x80\xff\xe2\x80\x9c";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const size_t size = random() % 60;
    for (size_t i = 0; i < size; ++i) text += marks[random() % marks.size()];
    const Words words(text);
    for (const auto& [name, verdict] : all_checks(text, text))
      EXPECT_EQ(verdict, "pass") << name << ": " << text;
    (void)refusing_guard(words, Words(text + "x"));
  }
}

TEST(Writing, IsBounded) {
  const std::string text(1U << 20U, '*');
  EXPECT_LE(writing_of(text).marks.size(), 256U);
  std::string many;
  for (int i = 0; i < 100000; ++i) many += "😀 a<b ";
  const Writing writing = writing_of(many);
  EXPECT_LE(writing.emoji.size(), 256U);
  EXPECT_EQ(writing.marks, (std::vector<std::string>{"a<b"}));
}

}  // namespace
}  // namespace enhanced_gptcache::match
