#include "privacy/personal_data.h"

#include <gtest/gtest.h>

#include <random>

namespace enhanced_gptcache::privacy {
namespace {

std::string kinds_in(std::string_view text) {
  std::string kinds;
  for (const Finding& one : find_personal_data(text))
    kinds += (kinds.empty() ? "" : " ") + std::string(to_string(one.kind));
  return kinds;
}

TEST(PersonalData, IsFoundByItsForm) {
  const std::pair<const char*, const char*> rows[] = {
      {"Write to anna.musterfrau+cache@mail.example.org, please", "email"},
      {"Call +49 30 901820 or (212) 555-0187 x", "phone phone"},
      {"call 1-212-555-0187.", "phone"},
      {"My card is 4111 1111 1111 1111.", "card"},
      {"card 5500-0000-0000-0004 declined", "card"},
      {"IBAN DE89 3704 0044 0532 0130 00, thanks", "iban"},
      {"GB82WEST12345698765432", "iban"},
      {"from 203.0.113.7 to 2001:db8:85a3::8a2e:370:7334", "ip ip"},
      {"key sk-proj-abcdefghijklmnop1234 leaked", "secret"},
      {"AKIAIOSFODNN7EXAMPLE and ghp_abcdefghijklmnopqrstuvwxyz0123456789", "secret secret"},
      {"-----BEGIN RSA PRIVATE KEY-----", "secret"},
      {"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "secret"},
      {"SSN 536-90-4399", "national_id"},
      {"{\"q\":\"mail a@b.example and 4111111111111111\"}", "email card"}};
  for (const auto& [text, kinds] : rows) EXPECT_EQ(kinds_in(text), kinds) << text;
}

TEST(PersonalData, WhatOnlyLooksLikeItIsNone) {
  for (const char* text : {"",
                           "How do I reset my password?",
                           "version 1.2.3.4567",
                           "127.0.0.1 and 0.0.0.0",
                           "999.1.1.1",
                           "order 4111 1111 1111 1112",
                           "0000 0000 0000 0000",
                           "GB82WEST12345698765433",
                           "a@b",
                           "@home",
                           "2026-11-23T12:00:00",
                           "12:30:45",
                           "pi is 3.14159265358979",
                           "000-12-3456 and 666-12-3456",
                           "sk-short",
                           "call 555-0187",
                           "C++ std::chrono::seconds::period",
                           "ISBN 978-3-16-148410-0",
                           "+1",
                           "a::b::c::d"})
    EXPECT_EQ(kinds_in(text), "") << text;
}

TEST(PersonalData, KindsCanBeLeftOut) {
  const std::string text = "a@b.example 203.0.113.7";
  EXPECT_EQ(find_personal_data(text, kinds_of({"ip"})).size(), 1U);
  EXPECT_TRUE(find_personal_data(text, kinds_of({})).empty());
  EXPECT_TRUE(kinds_of({"unheard of"}).empty());
}

TEST(PersonalData, IsReplacedByItsKind) {
  const std::string text = "Mail a@b.example, card 4111 1111 1111 1111!";
  EXPECT_EQ(redacted(text, find_personal_data(text)), "Mail [email], card [card]!");
  EXPECT_EQ(redacted("nothing", {}), "nothing");
}

TEST(PersonalData, TextsOfAnyBytesAreRead) {
  std::mt19937 random(7);
  const std::string letters =
      "@.+-0123456789abcdef: \xff\x80\0ABE[]()"
      "sk-";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += letters[random() % letters.size()];
    for (const Finding& one : find_personal_data(text)) {
      ASSERT_GT(one.size, 0U);
      ASSERT_LE(one.at + one.size, text.size());
    }
    ASSERT_EQ(kinds_in(redacted(text, find_personal_data(text))).find("card"), std::string::npos);
  }
  EXPECT_EQ(kinds_in(std::string(200'000, '1')), "") << "long runs of digits cost linear time";
  EXPECT_EQ(kinds_in(std::string(200'000, ':')), "");
}

TEST(PersonalData, ManyFindingsAreComparedWithTheirNeighboursAlone) {
  std::string text;
  while (text.size() < size_t{1} << 20U) text += "a@b.de 1.2.3.4 ";
  size_t compared = 0;
  const std::vector<Finding> found = find_personal_data(text, {}, &compared);
  EXPECT_GT(found.size(), 130'000U);
  EXPECT_LE(compared, found.size() * 3);
  for (size_t i = 1; i < found.size(); ++i) ASSERT_LE(found[i - 1].at + found[i - 1].size, found[i].at);
}

}  // namespace
}  // namespace enhanced_gptcache::privacy
