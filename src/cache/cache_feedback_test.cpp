#include "cache/cache_fixture.h"
#include "cache/entry_access.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kStored = "How do I restart the printer in room four?";
constexpr std::string_view kParaphrase = "How can I restart the printer in room four?";

class CacheFeedbackTest : public CacheTest {
 protected:
  CacheFeedbackTest() {
    Options options = options_of_tests();
    options.decision = DecisionPolicy::kAdaptive;
    reopen(options);
    id_ = put(prompt(kStored), "a");
  }
  Result<FeedbackResult> tell(Feedback feedback) { return cache_->feedback(feedback); }

  std::string id_;
};

TEST_F(CacheFeedbackTest, AWrongHitIsRemovedAndRaisesTau) {
  const Lookup hit = look(prompt(kParaphrase));
  ASSERT_NE(hit.entry, nullptr);
  const auto told = tell({.request_id = hit.request_id, .correct = false});
  ASSERT_TRUE(told);
  EXPECT_EQ(told->action, "removed");
  EXPECT_NEAR(told->tau, 0.86, 1e-9);
  EXPECT_EQ(ask(prompt(kStored)), "miss: empty");
  EXPECT_EQ(tell({.request_id = hit.request_id, .correct = false})->action, "none") << "judged once";
}

TEST_F(CacheFeedbackTest, AConfirmedHitLowersTauALittle) {
  const Lookup hit = look(prompt(kParaphrase));
  const auto told = tell({.request_id = hit.request_id});
  EXPECT_EQ(told->action, "confirmed");
  EXPECT_LT(told->tau, 0.85);
  EXPECT_GT(told->tau, 0.849);
  EXPECT_EQ(ask(prompt(kStored)), "a");
}

TEST_F(CacheFeedbackTest, AnExactHitMayRaiseTauButNotLowerIt) {
  const Lookup right = look(prompt(kStored));
  EXPECT_EQ(tell({.request_id = right.request_id})->tau, 0.85);
  const Lookup wrong = look(prompt(kStored));
  const auto told = tell({.request_id = wrong.request_id, .correct = false});
  EXPECT_EQ(told->action, "removed");
  EXPECT_NEAR(told->tau, 0.86, 1e-9);
}

TEST_F(CacheFeedbackTest, AHitOfTheFastPathCanBeJudged) {
  const Prompt mine = prompt(kStored);
  const EntryPtr entry = cache_->find_exact(mine, {});
  ASSERT_NE(entry, nullptr);
  const std::string id = cache_->record_exact_hit(mine, *entry);
  EXPECT_EQ(tell({.request_id = id})->action, "confirmed");
  EXPECT_EQ(tell({.request_id = id, .correct = false})->action, "none") << "judged once";
  const std::string again = cache_->record_exact_hit(mine, *entry);
  EXPECT_EQ(tell({.tenant = "another", .request_id = again}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(tell({.request_id = again, .correct = false})->action, "removed");
  EXPECT_EQ(cache_->find_exact(mine, {}), nullptr);
}

TEST_F(CacheFeedbackTest, ALostHitLowersTau) {
  LookupOptions strict;
  strict.threshold = 0.9999;
  const Lookup missed = look(prompt(kParaphrase), strict);
  EXPECT_EQ(tell({.request_id = missed.request_id})->action, "none");
  EXPECT_EQ(tell({.request_id = missed.request_id, .missed_entry_id = "0123"}).error().code,
            ErrorCode::kNotFound);
  const auto told = tell({.request_id = missed.request_id, .missed_entry_id = id_});
  EXPECT_EQ(told->action, "recorded_lost_hit");
  EXPECT_NEAR(told->tau, 0.84, 1e-9);
}

TEST_F(CacheFeedbackTest, OtherTenantsAreTurnedAwayAsIfThereWereNothing) {
  const Lookup hit = look(prompt(kParaphrase));
  for (const Feedback& feedback :
       {Feedback{.tenant = "other", .request_id = hit.request_id, .correct = false},
        Feedback{.tenant = "other", .entry_id = id_, .correct = false},
        Feedback{.request_id = std::string(32, '0')}, Feedback{.request_id = std::string(32, '1')},
        Feedback{.request_id = "short"}, Feedback{.entry_id = std::string(32, '1')}}) {
    const auto told = tell(feedback);
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, ErrorCode::kNotFound);
  }
  EXPECT_EQ(ask(prompt(kStored)), "a");
  EXPECT_EQ(tell({}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(CacheFeedbackTest, FeedbackMayNameTheEntryOfAHit) {
  ASSERT_NE(look(prompt(kParaphrase)).entry, nullptr);
  const auto told = tell({.entry_id = id_});
  EXPECT_EQ(told->action, "confirmed");
  EXPECT_LT(told->tau, 0.85);
  const auto again = tell({.entry_id = id_});
  EXPECT_EQ(again->action, "none") << "the only hit was judged";
  EXPECT_EQ(again->tau, told->tau);
  ASSERT_NE(look(prompt(kParaphrase)).entry, nullptr);
  const auto wrong = tell({.entry_id = id_, .correct = false});
  EXPECT_EQ(wrong->action, "removed");
  EXPECT_NEAR(wrong->tau, told->tau + 0.01, 1e-9);
  EXPECT_EQ(cache_->get("local", id_), nullptr);
}

TEST_F(CacheFeedbackTest, AVerdictOnNoHitRemovesAWrongAnswerAndTeachesNothing) {
  EXPECT_EQ(tell({.entry_id = id_})->action, "none");
  // Served to somebody, but not to this user.
  Prompt annas = prompt(kParaphrase);
  annas.user = "anna";
  const Lookup hit = look(annas);
  ASSERT_NE(hit.entry, nullptr);
  EXPECT_EQ(tell({.entry_id = id_, .user = "bob"})->action, "none");
  EXPECT_EQ(tell({.request_id = hit.request_id, .user = "bob"})->action, "none");
  EXPECT_EQ(tell({.request_id = hit.request_id, .user = "bob", .missed_entry_id = id_})->action, "none");
  const auto told = tell({.entry_id = id_, .user = "bob", .correct = false});
  EXPECT_EQ(told->action, "removed");
  EXPECT_EQ(told->tau, 0.85);
  EXPECT_EQ(cache_->get("local", id_), nullptr);
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.labels_right[0] + stats.labels_wrong[0], 0U);
  EXPECT_EQ(cache_->learning(10).taus.updates, 0U);
}

TEST_F(CacheFeedbackTest, AnotherUsersHitIsRemovedWhenWrongAndTeachesNothing) {
  Prompt annas = prompt(kParaphrase);
  annas.user = "anna";
  annas.principal = "key:1";
  const Lookup hit = look(annas);
  const auto told =
      tell({.request_id = hit.request_id, .user = "bob", .principal = "key:1", .correct = false});
  EXPECT_EQ(told->action, "removed");
  EXPECT_EQ(cache_->explain(annas, {})->tau, 0.85);
}

TEST_F(CacheFeedbackTest, AnApplicationSpeaksForTheUsersOfItsOwnKey) {
  Prompt annas = prompt(kParaphrase);
  annas.user = "anna";
  annas.principal = "key:1";
  const std::string first = look(annas).request_id;
  const std::string second = look(annas).request_id;
  EXPECT_EQ(tell({.request_id = first, .user = "key:2", .principal = "key:2"})->action, "none");
  EXPECT_EQ(tell({.request_id = first, .user = "key:1", .principal = "key:1"})->action, "confirmed");
  EXPECT_EQ(tell({.request_id = second, .principal = "key:1"})->action, "confirmed");
  EXPECT_LT(cache_->explain(annas, {})->tau, 0.85);
}

TEST_F(CacheFeedbackTest, WhatWasOnlyExplainedCannotBeJudged) {
  const auto explained = cache_->explain(prompt(kParaphrase), {});
  ASSERT_NE(explained->decision.entry, nullptr);
  EXPECT_EQ(tell({.request_id = explained->decision.request_id})->action, "none");
  EXPECT_EQ(tell({.entry_id = id_})->action, "none");
}

TEST_F(CacheFeedbackTest, OnlyACandidateOfThatMissIsALostHit) {
  const std::string other = put(prompt("What is the boiling point of water at sea level?"), "b");
  LookupOptions strict;
  strict.threshold = 0.9999;
  const Lookup missed = look(prompt(kParaphrase), strict);
  EXPECT_EQ(tell({.request_id = missed.request_id, .missed_entry_id = other})->action, "none");
  EXPECT_EQ(cache_->learning(10).taus.updates, 0U);
  EXPECT_EQ(tell({.request_id = missed.request_id, .missed_entry_id = id_})->action, "recorded_lost_hit");
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(tell({.request_id = missed.request_id, .missed_entry_id = id_})->action, "none");
  EXPECT_NEAR(cache_->explain(prompt(kParaphrase), {})->tau, 0.84, 1e-9);
}

TEST_F(CacheFeedbackTest, TauIsEachUsersOwn) {
  Prompt annas = prompt(kParaphrase);
  annas.user = "anna";
  const Lookup hit = look(annas);
  EXPECT_NEAR(tell({.request_id = hit.request_id, .correct = false})->tau, 0.86, 1e-9);
  EXPECT_EQ(cache_->explain(prompt(kParaphrase), {})->tau, 0.85);
  EXPECT_NEAR(cache_->explain(annas, {})->tau, 0.86, 1e-9);
  EXPECT_EQ(cache_->explain(annas, {})->tau_source, "user");
}

TEST_F(CacheFeedbackTest, OldDecisionsAreForgotten) {
  const Lookup hit = look(prompt(kParaphrase));
  for (int i = 0; i < 9000; ++i) look(prompt(kStored));
  EXPECT_EQ(tell({.request_id = hit.request_id}).error().code, ErrorCode::kNotFound);
}

TEST_F(CacheFeedbackTest, AWithheldHitIsLabelledAndKept) {
  Options options = cache_->options();
  options.mode = CacheMode::kShadow;
  ASSERT_TRUE(cache_->set_options(options));
  const Lookup withheld = look(prompt(kParaphrase));
  ASSERT_EQ(withheld.reason, MissReason::kShadow);
  const auto told =
      tell({.request_id = withheld.request_id, .correct = false, .source = LabelSource::kShadow});
  ASSERT_TRUE(told);
  EXPECT_EQ(told->action, "recorded");
  EXPECT_NEAR(told->tau, 0.86, 1e-9);
  EXPECT_NE(cache_->get("local", id_), nullptr);
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.labels_wrong[static_cast<size_t>(LabelSource::kShadow)], 1U);
  EXPECT_GT(stats.model_errors, 0);
}

TEST_F(CacheFeedbackTest, ACheckDoesNotStopItsCallerFromJudging) {
  const Lookup hit = look(prompt(kParaphrase));
  EXPECT_EQ(tell({.request_id = hit.request_id, .source = LabelSource::kShadow})->action, "confirmed");
  EXPECT_EQ(tell({.request_id = hit.request_id, .correct = false})->action, "removed");
  EXPECT_EQ(tell({.request_id = hit.request_id, .source = LabelSource::kJudge})->action, "none");
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.labels_right[static_cast<size_t>(LabelSource::kShadow)], 1U);
  EXPECT_EQ(stats.labels_right[static_cast<size_t>(LabelSource::kJudge)], 0U);
  EXPECT_EQ(stats.labels_wrong[static_cast<size_t>(LabelSource::kFeedback)], 1U);
}

TEST_F(CacheFeedbackTest, AUsersOwnAnswerIsJudgedByNobodyElse) {
  Prompt mine = prompt("What is my balance?");
  mine.user = "alice";
  mine.principal = "jwt:alice";
  StoreRequest request;
  request.prompt = mine;
  request.text = "12";
  request.principal = "key:app";
  const EntryPtr entry = cache_->get("local", put(request));
  ASSERT_NE(entry, nullptr);
  const std::string hit = look(mine).request_id;
  const auto told = [&](const char* user, const char* principal) {
    return tell({.request_id = hit, .user = user, .principal = principal, .correct = false});
  };
  const auto unknown = tell({.request_id = "req_none"});
  for (const auto& [user, principal] : {std::pair("bob", "jwt:bob"), std::pair("key:other", "key:other"),
                                        std::pair("bob", "key:app"), std::pair("", "key:other")}) {
    const auto refused = told(user, principal);
    ASSERT_FALSE(refused) << user << principal;
    EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(refused.error().message, unknown.error().message);
    EXPECT_FALSE(is_within_reach(*entry, {user, principal}));
  }
  for (const auto& [user, principal] :
       {std::pair("alice", "jwt:alice"), std::pair("key:app", "key:app"), std::pair("", "key:app"),
        std::pair("alice", "key:other"), std::pair("", "")})
    EXPECT_TRUE(is_within_reach(*entry, {user, principal})) << user << principal;
  EXPECT_EQ(ask(mine), "12");
  EXPECT_EQ(told("", "")->action, "removed") << "the tenant itself";
  const EntryPtr shared = cache_->get("local", id_);
  EXPECT_TRUE(is_within_reach(*shared, {"bob", "jwt:bob"}));
}

TEST_F(CacheFeedbackTest, ANamespaceHasAShareOfItsOwn) {
  Options options = cache_->options();
  options.serve_percent = 0;
  options.serve_percent_by_namespace = {{"on", 100}};
  ASSERT_TRUE(cache_->set_options(options));
  const Prompt on = make_prompt(kStored, {}, "on");
  put(on, "b");
  EXPECT_EQ(ask(make_prompt(kParaphrase, {}, "on")), "b");
  EXPECT_EQ(ask(prompt(kParaphrase)), "miss: shadow");
  options.serve_percent_by_namespace = {{"on", 101}};
  EXPECT_FALSE(cache_->set_options(options));
}

}  // namespace
}  // namespace enhanced_gptcache::cache
