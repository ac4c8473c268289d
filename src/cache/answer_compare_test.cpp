#include "cache/answer_compare.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enhanced_gptcache::cache {
namespace {

/// Unit vectors with this cosine.
std::pair<Embedding, Embedding> at_cosine(double cosine) {
  Embedding a;
  Embedding b;
  a.values = {1, 0};
  b.values = {static_cast<float>(cosine), static_cast<float>(std::sqrt(1 - cosine * cosine))};
  return {a, b};
}
Agreement compare(std::string_view a, std::string_view b, double cosine) {
  const auto [of_a, of_b] = at_cosine(cosine);
  return compare_answers(a, of_a, b, of_b);
}

TEST(AnswerCompare, SameTextButForDressAgrees) {
  EXPECT_TRUE(is_same_text("**Paris** is the capital.", "paris is  the capital"));
  EXPECT_FALSE(is_same_text("It is -1.", "It is 1."));
  EXPECT_FALSE(is_same_text("3.5", "35"));
  EXPECT_FALSE(is_same_text("", ""));
  EXPECT_FALSE(is_same_text("...", "!"));
  EXPECT_EQ(compare("Yes.", "yes", 0.1), Agreement::kAgree);
}

TEST(AnswerCompare, BetweenTheThresholdsNothingIsSaid) {
  EXPECT_EQ(compare("The shop opens early", "Early in the day the shop opens", 0.96), Agreement::kAgree);
  EXPECT_EQ(compare("The shop opens early", "Early in the day the shop opens", 0.8), Agreement::kUndecided);
  EXPECT_EQ(compare("The shop opens early", "Whales eat plankton", 0.2), Agreement::kDisagree);
}

TEST(AnswerCompare, AGuardForbidsAgreement) {
  EXPECT_EQ(compare("The shop opens at 8", "The shop opens at 9", 0.99), Agreement::kUndecided);
  EXPECT_EQ(compare("It is allowed", "It is not allowed", 0.97), Agreement::kUndecided);
}

TEST(AnswerCompare, WhatCannotBeSeenWholeIsUndecided) {
  auto [a, b] = at_cosine(0.1);
  a.stats.truncated = true;
  EXPECT_EQ(compare_answers("one", a, "two", b), Agreement::kUndecided);
  b.values.push_back(0);
  a.stats.truncated = false;
  EXPECT_EQ(compare_answers("one", a, "two", b), Agreement::kUndecided);
}

}  // namespace
}  // namespace enhanced_gptcache::cache
