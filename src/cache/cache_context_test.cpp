#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

using Turns = std::vector<Turn>;

const Turns kPrinters = {{"user", "Tell me about laser printers in the office"},
                         {"assistant", "There are two laser printers."}};
const Turns kPrintersAlike = {{"user", "Tell me about the laser printers in the office"},
                              {"assistant", "There are two laser printers."}};
const Turns kWhales = {{"user", "Whales swim across oceans every winter"},
                       {"assistant", "Yes, they migrate."}};

TEST_F(CacheTest, AnEntryWithContextNeedsAnEquivalentContext) {
  put(prompt("How do I restart it quickly?", kPrinters), "button");
  EXPECT_EQ(ask(prompt("How do I restart it quickly?", kPrinters)), "button");
  EXPECT_EQ(ask(prompt("How can I restart it quickly?", kPrinters)), "button");
  EXPECT_EQ(ask(prompt("How can I restart it quickly?", kPrintersAlike)), "button");
  EXPECT_EQ(ask(prompt("How can I restart it quickly?", kWhales)), "miss: context");
  EXPECT_EQ(ask(prompt("How can I restart it quickly?")), "miss: context");
  EXPECT_FALSE(look(prompt("How can I restart it quickly?", kWhales)).detail.empty());
}

TEST_F(CacheTest, AnEntryWithoutContextAnswersOnlySelfContainedPrompts) {
  put(prompt("How do I restart the printer in room four?"), "button");
  const Turns asked = {{"user", "Do whales swim across oceans every winter?"}, {"assistant", "Yes."}};
  EXPECT_EQ(ask(prompt("How can I restart the printer in room four?", asked)), "button");
  EXPECT_EQ(ask(prompt("How can I restart the printer in room four?", kWhales)), "miss: context")
      << "a statement may change the answer";
  put(prompt("How do I restart it quickly now?"), "no");
  EXPECT_EQ(ask(prompt("How can I restart it quickly now?", kWhales)), "miss: context");
}

TEST_F(CacheTest, DifferentQuestionsAfterOneHistoryAreDifferent) {
  put(prompt("What does the toner cost there?", kPrinters), "ten");
  EXPECT_NE(ask(prompt("What colours do the cables have?", kPrinters)), "ten");
}

TEST_F(CacheTest, TheRightConversationIsFoundAmongMany) {
  for (int i = 0; i < 40; ++i) {
    put(prompt("How do I restart it quickly?",
               {{"user", "machine" + std::to_string(i) + " stopped in hall" + std::to_string(i)}}),
        "answer " + std::to_string(i));
  }
  EXPECT_EQ(ask(prompt("How can I restart it quickly?", {{"user", "machine33 stopped in hall33"}})),
            "answer 33");
}

TEST_F(CacheTest, SystemTurnsBecomeTheSystemPrompt) {
  const Prompt made =
      prompt("Hello printer", {{"system", "Be terse."}, {"user", "a"}, {"developer", "Be kind."}});
  EXPECT_EQ(made.system, "Be terse.\nBe kind.");
  ASSERT_EQ(made.context.size(), 1U);
  EXPECT_EQ(made.context[0].content, "a");
  EXPECT_EQ(made.canonical,
            R"({"messages":[{"content":"Be terse.","role":"system"},{"content":"a","role":"user"},)"
            R"({"content":"Be kind.","role":"developer"},{"content":"Hello printer","role":"user"}]})");
  EXPECT_EQ(made.model, "default");
}

TEST_F(CacheTest, InvalidUtf8IsRepairedBeforeItIsKeyed) {
  const Prompt made = make_prompt("printer \xFF", {{"user", "\xC3"}});
  EXPECT_EQ(made.query, "printer \xEF\xBF\xBD");
  EXPECT_EQ(made.context[0].content, "\xEF\xBF\xBD");
}

TEST_F(CacheTest, ExplainShowsEveryCandidateAndEveryCheck) {
  const std::string good = put(prompt("How do I restart the printer in room four?"), "a");
  const std::string bad = put(prompt("How do I restart the printer in room five?"), "b");
  const auto explanation = cache_->explain(prompt("How can I restart the printer in room four?"), {});
  ASSERT_TRUE(explanation);
  EXPECT_EQ(explanation->policy, "static");
  EXPECT_EQ(explanation->partition_entries, 2U);
  EXPECT_EQ(explanation->partition.size(), 32U);
  EXPECT_EQ(explanation->text.tokens, 9U);
  ASSERT_EQ(explanation->candidates.size(), 2U);
  EXPECT_EQ(explanation->candidates[0].entry_id, good);
  EXPECT_TRUE(explanation->candidates[0].served);
  EXPECT_EQ(explanation->candidates[1].entry_id, bad);
  EXPECT_FALSE(explanation->candidates[1].served);
  size_t refusals = 0;
  for (const auto& [name, outcome] : explanation->candidates[1].checks) refusals += outcome == "pass" ? 0 : 1;
  EXPECT_GE(refusals, 1U);
  ASSERT_NE(explanation->decision.entry, nullptr);
  EXPECT_EQ(explanation->decision.entry->id(), good);
  EXPECT_EQ(cache_->stats().semantic_hits, 0U) << "explaining counts nothing";
  EXPECT_TRUE(cache_->explain(prompt("how do I?"), {})->candidates.empty());
}

}  // namespace
}  // namespace enhanced_gptcache::cache
