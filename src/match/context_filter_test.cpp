#include "enhanced_gptcache/context_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "enhanced_gptcache/enhanced_cache.h"
#include "fakes/fake_embedder.h"

namespace enhanced_gptcache {
namespace {

using Conversation = std::vector<Turn>;

Conversation talk(std::initializer_list<const char*> texts) {
  Conversation turns;
  for (const char* text : texts) turns.push_back({turns.size() % 2 == 0 ? "user" : "assistant", text});
  return turns;
}

class ContextFilterTest : public testing::Test {
 protected:
  ContextVerdict compare(const Conversation& entry, const Conversation& prompt) const {
    const auto a = filter_.fingerprint(entry);
    const auto b = filter_.fingerprint(prompt);
    EXPECT_TRUE(a && b);
    const ContextVerdict there = filter_.compare(*a, *b);
    const ContextVerdict back = filter_.compare(*b, *a);
    EXPECT_EQ(there.equivalent, back.equivalent);
    EXPECT_NEAR(there.divergence, back.divergence, 1e-6);
    return there;
  }

  fakes::FakeEmbedder embedder_{256, 40};
  ContextFilter filter_{ContextOptions(), &embedder_};
};

TEST_F(ContextFilterTest, TwoEmptyConversationsAreEquivalentAndOneIsNot) {
  EXPECT_TRUE(compare({}, {}).equivalent);
  EXPECT_FALSE(compare({}, talk({"hello"})).equivalent);
  EXPECT_EQ(embedder_.calls(), 1U);  // of the one that is not empty
}

TEST_F(ContextFilterTest, IdenticalIsEquivalentWithoutTheModel) {
  const auto conversation = talk({"tell me about the old bridge", "it is 200 m long", "and who built it"});
  const auto outline = filter_.outline(conversation);
  EXPECT_EQ(embedder_.calls(), 0U);
  const auto full = filter_.fingerprint(conversation);
  ASSERT_TRUE(full);
  const ContextVerdict verdict = filter_.compare(*full, outline);
  EXPECT_TRUE(verdict.equivalent);
  EXPECT_EQ(verdict.divergence, 0);
  EXPECT_FALSE(verdict.undecided);
}

TEST_F(ContextFilterTest, ARewordedConversationIsEquivalent) {
  const ContextVerdict verdict =
      compare(talk({"please describe the old stone bridge in town to me", "it is long"}),
              talk({"describe the old stone bridge in town to me please now", "it is long"}));
  EXPECT_TRUE(verdict.equivalent) << verdict.reason;
  EXPECT_GT(verdict.divergence, 0);
  EXPECT_LT(verdict.divergence, 0.3);
}

const char* const kReply =
    "The old stone bridge was built in 1890 by Ada Stone and crosses the river at the mill; it is long";

TEST_F(ContextFilterTest, TheSameFullReplyVouchesForAQuestionInOtherWords) {
  const ContextVerdict verdict = compare(talk({"describe the old stone bridge", kReply}),
                                         talk({"explain the importance of the old stone bridge", kReply}));
  EXPECT_TRUE(verdict.equivalent) << verdict.reason;
}

TEST_F(ContextFilterTest, AReplyDoesNotVouchForWhatItDoesNotName) {
  const auto differ = [&](const char* a, const char* b, const char* reply_a, const char* reply_b) {
    return !compare(talk({a, reply_a}), talk({b, reply_b})).equivalent;
  };
  const char* const asked = "describe the old stone bridge";
  EXPECT_TRUE(differ(asked, "describe the old stone bridge in Lisbon", kReply, kReply)) << "a name";
  EXPECT_TRUE(differ(asked, "describe the old stone tunnel", kReply, kReply)) << "a subject";
  EXPECT_TRUE(differ(asked, "describe 3 old stone bridge", kReply, kReply)) << "a number";
  EXPECT_TRUE(differ(asked, "do not describe the old stone bridge", kReply, kReply)) << "a negation";
  EXPECT_TRUE(differ(asked, "explain that bridge", "Sure. Which one?", "Sure. Which one?"))
      << "no full reply";
  EXPECT_TRUE(differ(asked, "explain that bridge", kReply, "It is long.")) << "another reply";
}

TEST_F(ContextFilterTest, AnOutlineLeavesARewordedConversationUndecided) {
  const auto entry = filter_.fingerprint(talk({"describe the old stone bridge in town"}));
  ASSERT_TRUE(entry);
  const ContextVerdict reworded =
      filter_.compare(*entry, filter_.outline(talk({"please describe the old stone bridge in the town"})));
  EXPECT_FALSE(reworded.equivalent);
  EXPECT_TRUE(reworded.undecided);
  const ContextVerdict other =
      filter_.compare(*entry, filter_.outline(talk({"describe 2 old stone bridges"})));
  EXPECT_FALSE(other.equivalent);
  EXPECT_FALSE(other.undecided);  // the anchors decided
}

TEST_F(ContextFilterTest, OneChangedTurnIsNotHiddenByEqualOnes) {
  const char* answer = "it stands in the middle of the old town and is made of stone and wood";
  const ContextVerdict verdict =
      compare(talk({"tell me please", answer, "is it there at all"}),
              talk({"what would people do about it", answer, "is it there at all"}));
  EXPECT_FALSE(verdict.equivalent);
  EXPECT_NE(verdict.reason.find("diverges"), std::string::npos) << verdict.reason;
}

struct Anchored {
  const char* name;
  const char* a;
  const char* b;
};
class AnchorTest : public ContextFilterTest, public testing::WithParamInterface<Anchored> {};
TEST_P(AnchorTest, ADifferenceRefuses) {
  const ContextVerdict verdict = compare(talk({GetParam().a}), talk({GetParam().b}));
  EXPECT_FALSE(verdict.equivalent);
  EXPECT_NE(verdict.reason.find("on one side only"), std::string::npos) << verdict.reason;
}
INSTANTIATE_TEST_SUITE_P(
    Table, AnchorTest,
    testing::Values(
        Anchored{"number", "my big flat has 3 rooms and a garden", "my big flat has 4 rooms and a garden"},
        Anchored{"name", "we want to fly to Rome in the spring", "we want to fly to Oslo in the spring"},
        Anchored{"negation", "i do like the taste of tea and milk",
                 "i do not like the taste of tea and milk"},
        Anchored{"unit", "the parcel weighs a lot of kg i think", "the parcel weighs a lot of lbs i think"},
        Anchored{"side", "i want to buy the old car of my son", "i want to sell the old car of my son"},
        Anchored{"time", "what can we do in town today with kids",
                 "what can we do in town tomorrow with kids"},
        Anchored{"subject", "show me the cheap flights to boston", "show me the cheap flights to denver"},
        Anchored{"form", "please write it in french for my boss", "please write it in german for my boss"}),
    [](const auto& test) { return test.param.name; });

TEST_F(ContextFilterTest, WhatLiesBeforeTheWindowCountsByItsAnchors) {
  const char* tail[] = {"when was he born then", "in the spring", "and where was that"};
  const auto of = [&](const char* topic) { return talk({topic, "sure ask me", tail[0], tail[1], tail[2]}); };
  EXPECT_FALSE(compare(of("let us talk about Ada Lovelace"), of("let us talk about Alan Turing")).equivalent);
  EXPECT_TRUE(compare(of("let us talk about Ada Lovelace"), of("we talk about Ada Lovelace")).equivalent);
}

TEST_F(ContextFilterTest, TheSameWordsByTheOtherSideAreAnotherConversation) {
  const Conversation a{{"user", "the bridge is old"}};
  const Conversation b{{"assistant", "the bridge is old"}};
  EXPECT_FALSE(compare(a, b).equivalent);
}

TEST_F(ContextFilterTest, ATurnTheModelSeesOnlyInPartIsNotCompared) {
  std::string long_turn;
  for (int i = 0; i < 60; ++i) long_turn += "word ";
  const auto a = talk({long_turn.c_str(), "fine"});
  const auto b = talk({(long_turn + "end").c_str(), "fine"});
  const ContextVerdict verdict = compare(a, b);
  EXPECT_FALSE(verdict.equivalent);
  EXPECT_FALSE(verdict.undecided);
  EXPECT_TRUE(compare(a, a).equivalent);
  EXPECT_EQ(embedder_.calls(), 0U);
}

TEST_F(ContextFilterTest, DifferentWindowsCannotBeCompared) {
  EXPECT_FALSE(compare(talk({"a b c d"}), talk({"a b c d", "a b c d"})).equivalent);
  const ContextFilter narrow({true, 0.3, 1}, &embedder_);
  const auto conversation = talk({"one bridge", "an answer", "a question of mine"});
  auto entry = filter_.fingerprint(conversation);
  ASSERT_TRUE(entry);
  entry->exact_hash ^= 1;  // as if reworded
  const auto prompt = narrow.fingerprint(conversation);
  ASSERT_TRUE(prompt);
  EXPECT_FALSE(narrow.compare(*entry, *prompt).equivalent);
}

TEST_F(ContextFilterTest, OffOrWithoutAModelOnlyIdenticalIsEquivalent) {
  const auto a = talk({"describe the old stone bridge in town"});
  const auto b = talk({"describe the old stone bridge in town please"});
  for (const ContextFilter& filter :
       {ContextFilter({false, 0.3, 3}, &embedder_), ContextFilter({true, 0.3, 3}, nullptr)}) {
    const auto of_a = filter.fingerprint(a);
    const auto of_b = filter.fingerprint(b);
    ASSERT_TRUE(of_a && of_b);
    EXPECT_TRUE(of_a->vector.empty());
    EXPECT_TRUE(filter.compare(*of_a, *of_a).equivalent);
    EXPECT_FALSE(filter.compare(*of_a, *of_b).equivalent);
  }
  EXPECT_EQ(embedder_.calls(), 0U);
}

TEST_F(ContextFilterTest, DamagedVectorsRefuse) {
  const auto a = filter_.fingerprint(talk({"describe the bridge"}));
  ASSERT_TRUE(a);
  auto b = *a;
  b.exact_hash ^= 1;
  EXPECT_TRUE(filter_.compare(*a, b).equivalent);
  b.vector[3] = std::nanf("");
  EXPECT_FALSE(filter_.compare(*a, b).equivalent);
  b.vector.pop_back();
  EXPECT_FALSE(filter_.compare(*a, b).equivalent);
}

TEST_F(ContextFilterTest, AFailingModelIsAnError) {
  embedder_.fail_all(true);
  const auto result = filter_.fingerprint(talk({"describe the bridge"}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
}

TEST_F(ContextFilterTest, AnchorsAreBounded) {
  std::string many;
  for (int i = 0; i < 500; ++i) many += std::to_string(i) + " ";
  const std::string long_name = "the N" + std::string(300, 'a') + " is";
  const auto a = filter_.outline(talk({many.c_str(), long_name.c_str()}));
  EXPECT_LE(a.anchors.size(), 48U);
  for (const std::string& anchor : a.anchors) EXPECT_LE(anchor.size(), 48U);
  EXPECT_TRUE(std::is_sorted(a.anchors.begin(), a.anchors.end()));
  const auto b = filter_.outline(talk({(many + "777").c_str(), long_name.c_str()}));
  EXPECT_NE(a.anchors, b.anchors);
}

}  // namespace
}  // namespace enhanced_gptcache
