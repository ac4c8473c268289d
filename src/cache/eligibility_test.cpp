#include "cache/eligibility.h"

#include <gtest/gtest.h>

#include "cache/self_contained.h"
#include "cache/words.h"

namespace enhanced_gptcache::cache {
namespace {

struct Case {
  const char* text;
  bool expected;
};

TEST(Words, AreLowerCaseRunsOfLettersAndDigits) {
  Words words("  Hello, World-42! Caf\xC3\xA9 averyveryverylongwordindeedyes");
  EXPECT_EQ(words.next(), "hello");
  EXPECT_EQ(words.next(), "world");
  EXPECT_EQ(words.next(), "42");
  EXPECT_EQ(words.next(), "caf\xC3\xA9");
  EXPECT_EQ(words.next(), "averyveryverylongwordind");
  EXPECT_EQ(words.next(), "");
  EXPECT_EQ(words.next(), "");
}

TEST(Eligibility, AsksForAContentWord) {
  const Case cases[] = {{"How do I?", false},       {"what is it", false}, {"", false},
                        {"?? !!", false},           {"hello", false},      {"Thanks!", false},
                        {"printer", true},          {"what is x", true},   {"42", true},
                        {"\xC3\xA9t\xC3\xA9", true}};
  for (const Case& c : cases) EXPECT_EQ(has_content_word(c.text), c.expected) << c.text;
}

TEST(Eligibility, KnowsLatinScriptOnly) {
  const Case cases[] = {{"How do I reset it?", true},
                        {"Wie geht es \xC3\xBC"
                         "ber die Br\xC3\xBC"
                         "cke",
                         true},
                        {"1 + 1 = ?", true},
                        {"party \xF0\x9F\x8E\x89\xF0\x9F\x8E\x89", true},
                        {"what does the symbol \xCF\x80 mean", true},
                        {"\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82", false},
                        {"\xE4\xBD\xA0\xE5\xA5\xBD", false},
                        {"ok \xE4\xBD\xA0\xE5\xA5\xBD", false},
                        {"\xE4\xBD", true},  // cut: no letter at all
                        {"", true}};
  for (const Case& c : cases) EXPECT_EQ(is_in_known_script(c.text), c.expected) << c.text;
}

TEST(Eligibility, KnowsWhatIsPersonal) {
  const Case cases[] = {
      {"What is my balance?", true},  {"Am I insured?", true},         {"how many days do I have left", true},
      {"where was I born", true},     {"I'm late, what now", true},    {"is our order shipped", true},
      {"How do I tie a tie?", false}, {"Tell me about whales", false}, {"Can I use salt?", false},
      {"What is MySQL?", false}};
  for (const Case& c : cases) EXPECT_EQ(is_personal(c.text), c.expected) << c.text;
}

TEST(Eligibility, WhatNamesItsAskerIsPersonal) {
  for (const char* text : {"What's the code you mailed me?",
                           "Give me the recovery phrase I wrote down",
                           "Which bills do I still owe?",
                           "What were the results the doctor gave me?",
                           "List the files I shared",
                           "How many sick days are left for me?",
                           "Show me the trips I booked",
                           "When will I get paid?",
                           "What did the nurse tell me?",
                           "What did you send us yesterday?",
                           "How much do I need to pay?",
                           "How much can I withdraw?",
                           "What time do I have to be there?",
                           "how long do i have to pay the bill",
                           "Can I see the contract I signed?",
                           "which floor am i on",
                           "ive forgotten the code, what is it",
                           "Remind me what was agreed",
                           "Tell me what I owe",
                           "I want to see the payslip",
                           "Which team are we in?",
                           "Wie viel Geld habe ich noch?",
                           "Wann kommt mein Paket?",
                           "\u00bfCu\u00e1nto dinero tengo?",
                           "Combien de jours de cong\u00e9 ai-je ? Dis-le-moi",
                           "Quanto devo pagare?",
                           "Quanto tenho na conta?",
                           "Hoeveel vakantiedagen heb ik nog?",
                           "What is in it for us?",
                           "I owned which car before this one?"})
    EXPECT_TRUE(is_personal(text)) << text;
}

TEST(Eligibility, WhatAnybodyMightAskIsNot) {
  for (const char* text : {"How do I tie a bow tie?",
                           "How can I remove rust from iron?",
                           "How could I learn to whistle?",
                           "How should I store garlic?",
                           "How would I say thanks in Thai?",
                           "Can I freeze cooked rice?",
                           "Could I use oil instead of butter?",
                           "Should I rinse pasta?",
                           "Do I need to peel ginger?",
                           "Do I need a visa for Brazil?",
                           "What should I pack for Iceland?",
                           "What should we plant in March?",
                           "Where can I watch whales?",
                           "Where can I buy loose tea?",
                           "Where do I find chanterelles?",
                           "What do I need to open a bakery?",
                           "What do I do about wasps?",
                           "What can I use instead of eggs?",
                           "Help me understand recursion",
                           "Tell me about the Silk Road",
                           "Show me how a gearbox works",
                           "Give me an example of irony",
                           "Teach me the rules of chess",
                           "Can you explain to me what inflation is?",
                           "Explain to me how tides work",
                           "Please tell me who painted Guernica",
                           "Can you give me a list of primes?",
                           "Could you please tell me how bees make honey?",
                           "I want to know how glass is made",
                           "I need to know the boiling point of ethanol",
                           "I'd like to know why leaves turn red",
                           "I would like to understand entropy",
                           "Let me know how to fold a crane",
                           "Why should I stretch before running?",
                           "When should I prune roses?",
                           "Must I boil beans first?",
                           "Tell us about Mars",
                           "how do we measure distance to stars",
                           "How can we reduce noise?",
                           "What is the capital of the US?",
                           "Why did World War I begin?",
                           "Hi, can you help me write a sonnet?",
                           "Wie kann ich Kaffeeflecken entfernen?",
                           "Was kann ich gegen Motten tun?",
                           "Comment puis-je apprendre le piano ?",
                           "Hoe kan ik brood bakken?",
                           "Who founded Xiaomi and its Mi phones?"})
    EXPECT_FALSE(is_personal(text)) << text;
}

TEST(Eligibility, KnowsOtherLanguagesByTheirFunctionWords) {
  const Case cases[] = {{"Was ist die Hauptstadt von Frankreich?", false},
                        {"Comment annuler la commande que je viens de passer ?", false},
                        {"¿Cuál es la capital de Perú?", false},
                        {"What is the capital of Peru?", true},
                        {"Who played the lead in La La Land?", true},
                        {"Flights from Los Angeles to La Paz", true},
                        {"printer toner", true},
                        {"", true}};
  for (const Case& c : cases) EXPECT_EQ(is_in_known_language(c.text), c.expected) << c.text;
}

TEST(Eligibility, NamesTheFirstReason) {
  Prompt prompt = make_prompt("restart the printer");
  TextStats good;
  good.tokens = 10;
  good.unknown_tokens = 1;
  EXPECT_EQ(ineligibility(prompt, good, 0.1), "");
  TextStats unknown = good;
  unknown.unknown_tokens = 2;
  EXPECT_EQ(ineligibility(prompt, unknown, 0.1), "unknown_tokens");
  unknown.truncated = true;
  EXPECT_EQ(ineligibility(prompt, unknown, 0.1), "truncated");
  EXPECT_EQ(ineligibility(prompt, TextStats(), 0.1), "no_content_word");
  prompt.ineligible = "tool_result";
  EXPECT_EQ(ineligibility(prompt, good, 0.1), "tool_result");
}

TEST(SelfContained, NeedsNothingSaidBefore) {
  const Case cases[] = {{"How do I bake sourdough bread at home?", true},
                        {"Are there any direct trains between Vienna and Linz?", true},
                        {"Who wrote the novel Dune?", true},
                        {"What is the capital of Peru?", true},
                        {"What is the best way to learn Spanish?", true},
                        {"How do I restart the office printer?", false},
                        {"How do I restart it?", false},
                        {"What does the toner cost there?", false},
                        {"And the printer in room four?", false},
                        {"What about laser printers then?", false},
                        {"what about laser printers", false},
                        {"What is the price?", false},
                        {"What is the patient's diagnosis?", false},
                        {"Is my password correct?", false},
                        {"Which option is cheaper?", false},
                        {"Translate to French", false},
                        {"Give me three more examples", false},
                        {"Fix the bug", false},
                        {"Why?", false},
                        {"Which album?", false},
                        {"Did they collaborate with any other artists?", false},
                        {"", false}};
  for (const Case& c : cases) EXPECT_EQ(is_self_contained(c.text), c.expected) << c.text;
}

TEST(PlainConversation, HoldsNothingThatChangesLaterAnswers) {
  const auto with = [](const char* text) {
    return is_plain_conversation({{"user", "What is sourdough?"}, {"assistant", "Bread."}, {"user", text}});
  };
  EXPECT_TRUE(is_plain_conversation({}));
  EXPECT_TRUE(with("How long does dough rise?"));
  for (const char* text :
       {"Answer in French please.", "From now on answer only in French.", "Reply with a JSON object only.",
        "I am allergic to wheat and gluten.", "You are a pirate.", "Never mention flour", "",
        "I only own a microwave", "Can you answer in French?", "What if we have no oven?"}) {
    EXPECT_FALSE(with(text)) << text;
  }
  EXPECT_FALSE(is_plain_conversation({{"tool", "12 degrees"}}));
}

}  // namespace
}  // namespace enhanced_gptcache::cache
