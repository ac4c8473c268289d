#include "cache/readable.h"

#include <gtest/gtest.h>

#include "cache/eligibility.h"

namespace enhanced_gptcache::cache {
namespace {

TEST(Readable, OrdinaryQuestionsAre) {
  for (const char* text : {"How do I reset the password of a printer?",
                           "What is the capital of Peru?",
                           "printer",
                           "42",
                           "Yes, please!",
                           "",
                           "Is 5 > 3?",
                           "What\u2019s the time \u2014 in Lima\u2026?",
                           "\u201cQuoted\u201d, what does it mean?",
                           "How much is 100\u00a0\u20ac in US dollars?",
                           "What does the symbol \u03c0 mean?",
                           "Is \u211d a field?",
                           "How do 5 \u00b5m compare to 1 \u212b?",
                           "Who is the best \U0001F389\U0001F389?",
                           "What is a family \U0001F468\u200D\U0001F469\u200D\U0001F467 emoji?",
                           "\u00bfCu\u00e1l es la capital de Per\u00fa?",
                           "Comment annuler la commande ?",
                           "Wie hei\u00dft die Br\u00fccke in K\u00f6ln?",
                           "Hoe kan ik brood bakken?",
                           "Quelle est l\u2019\u0153uvre de Hugo ?",
                           "Qual \u00e9 a capital do Peru?"})
    EXPECT_TRUE(is_readable(text)) << text;
}

TEST(Readable, OtherScriptsAreNot) {
  for (const char* text :
       {"\u0413\u0434\u0435 \u043c\u043e\u0439 \u0437\u0430\u043a\u0430\u0437?", "\u6211\u7684\u4f59\u989d",
        "What is \u6211?", "\ub0b4 \uc794\uc561\uc740?", "\u0645\u0648\u062c\u0648\u062f\u06cc \u0645\u0646",
        "\u03c0\u03bf\u03cd \u03b5\u03af\u03bd\u03b1\u03b9", "\u0e22\u0e2d\u0e14", "\u0939\u093f\u0902",
        // Letters of Latin languages without a list.
        "Gdzie jest moje zam\u00f3wienie z\u0142", "Sipari\u015fim nerede?", "Var \u00e4r p\u00e5sen?"})
    EXPECT_FALSE(is_readable(text)) << text;
}

TEST(Readable, DisguisedLettersAreNot) {
  for (const char* text : {"What is m\u0443 balance?",               // Cyrillic u
                           "What is \u043c\u0443 balance?",          // all of the word
                           "What is my\u200b balance?",              // zero width space
                           "What is m\u200dy balance?",              // zero width joiner
                           "What is \u2060my balance?",              // word joiner
                           "What is m\u00ady balance?",              // soft hyphen
                           "\ufeffmy balance is what?",              // byte order mark
                           "What is my\u0337 balance?",              // combining solidus
                           "What is \u202eym\u202c balance?",        // right to left
                           "What is \uff4d\uff59 balance?",          // full width
                           "What is \u24dc\u24e8 balance?",          // circled
                           "What is \U0001D426\U0001D432 balance?",  // mathematical bold
                           "What is \u03bcy balance?",               // Greek mu, Latin y
                           "What is m\ufe0fy balance?",              // variation selector
                           "What is m\U000E0079y balance?",          // tag
                           "What is m\x01y balance?", "What is m\xFFy balance?", "What is my\xC3 balance?"})
    EXPECT_FALSE(is_readable(text)) << text;
}

TEST(Readable, LanguagesWithoutAListAreNot) {
  for (const char* text :
       {"hvor er min pakke", "mera balance kya hai", "di mana pesanan saya", "siparisim nerede", "min saldo",
        "hi hvor er min pakke please", "unde este comanda", "kde je objednavka", "hol van a rendelesem",
        "kelan dumating ang order ko", "oda yangu iko wapi", "missa minun tilaukseni on"})
    EXPECT_FALSE(is_readable(text)) << text;
}

TEST(Readable, KnowsLettersByTheirBytes) {
  EXPECT_EQ(letter_bytes("a"), 1U);
  EXPECT_EQ(letter_bytes("7"), 1U);
  EXPECT_EQ(letter_bytes("\u00e9t\u00e9"), 2U);
  EXPECT_EQ(letter_bytes("\u1e9e"), 3U);
  EXPECT_EQ(letter_bytes("_"), 0U);
  EXPECT_EQ(letter_bytes("\u2019s"), 0U);
  EXPECT_EQ(letter_bytes("\u00a0x"), 0U);
  EXPECT_EQ(letter_bytes("\x80"), 0U);
  EXPECT_EQ(letter_bytes("\xE2"), 0U);
}

TEST(Personal, WhatCannotBeReadMayBe) {
  for (const char* text :
       {"\u0413\u0434\u0435 \u0437\u0430\u043a\u0430\u0437?", "What is m\u0443 balance?",
        "What is my\u200b balance?", "hvor er min pakke", "to je moje", "czy mam cos do zrobienia",
        "for jag se mitt saldo", "hvad er min saldo for i dag"})
    EXPECT_TRUE(is_personal(text)) << text;
  Prompt prompt =
      make_prompt("What is the capital of Peru?", {{"user", "\u041f\u0440\u0438\u0432\u0435\u0442"}});
  EXPECT_TRUE(is_personal(prompt));
  prompt.context[0].content = "What is the capital of Chile?";
  EXPECT_FALSE(is_personal(prompt));
}

TEST(Personal, PunctuationOutsideAsciiEndsAWord) {
  for (const char* text :
       {"Where is the parcel \u2014my parcel?", "Is \u2018my\u2019 balance low?", "I\u2019m late, what now?",
        "Show\u00a0my\u00a0bills", "What about\u2026my bills?",
        "\u00bfD\u00f3nde est\u00e1 \u00abmi\u00bb paquete?", "\u00bfCu\u00e1l es la cuenta M\u00cdA?"})
    EXPECT_TRUE(is_personal(text)) << text;
  EXPECT_FALSE(is_personal("How do I\u2014quickly\u2014tie a tie?"));
  EXPECT_FALSE(is_personal("What\u2019s the tallest tree?"));
  EXPECT_FALSE(is_personal("When was Mitt Romney born?"));
}

}  // namespace
}  // namespace enhanced_gptcache::cache
