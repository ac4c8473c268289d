// Erasing a subject in the cache itself: what goes, what stays, and what a restart finishes.

#include <algorithm>
#include <fstream>

#include "cache/erase_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

TEST_F(EraseTest, TakesTheSubjectAndNobodyElse) {
  put_for("anna", "Who wrote Faust?");
  put_for("anna", "Who painted Guernica?");
  put_for("ben", "Who built the Eiffel tower?");
  put_for("anna", "Who wrote Hamlet?", "another tenant");
  const ErasedSubject erased = cache_->erase("local", "anna", std::nullopt).value();
  EXPECT_EQ(erased.entries, 2U);
  EXPECT_EQ(erased.without_data_key, 2U) << "there is no encryption";
  EXPECT_EQ(erased.ledger_sequence, 1U);
  EXPECT_TRUE(erased.is_stored);
  EXPECT_EQ(disk_->purges, 1);
  EXPECT_EQ(disk_->size(), 2U);
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_TRUE(has("Who built the Eiffel tower?"));
  EXPECT_TRUE(has("Who wrote Hamlet?", "another tenant"));
  EXPECT_TRUE(ledger_->pending().empty());
  EXPECT_EQ(cache_->erase("local", "", std::nullopt).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(EraseTest, UsersWritersAndExpiredEntriesCount) {
  StoreRequest scoped;
  scoped.prompt = prompt("What is my balance?");
  scoped.prompt.user = "anna";
  scoped.prompt.user_scoped = true;
  scoped.text = "100.";
  put(scoped);
  StoreRequest written;
  written.prompt = prompt("Who wrote Faust?");
  written.text = "Goethe.";
  written.principal = "anna";
  put(written);
  StoreRequest expired;
  expired.prompt = prompt("Who painted Guernica?");
  expired.text = "Picasso.";
  expired.subject = "anna";
  expired.ttl_ms = 1;
  put(expired);
  clock_.advance_ms(10);
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 10, "")->size(), 3U);
  EXPECT_EQ(cache_->erase("local", "anna", std::nullopt)->entries, 3U);
  EXPECT_EQ(disk_->size(), 0U);
}

TEST_F(EraseTest, OneNamespaceAlone) {
  put_for("anna", "Who wrote Faust?", "local", "here");
  put_for("anna", "Who wrote Hamlet?", "local", "there");
  EXPECT_EQ(cache_->erase("local", "anna", "here")->entries, 1U);
  restart();
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 10, "")->size(), 1U);
  EXPECT_EQ(cache_->list_subject("local", "anna", "there", 10, "")->size(), 1U);
}

TEST_F(EraseTest, WhatWasLearnedOfTheUserIsForgottenOnDiskToo) {
  put_for("", "Who wrote Faust?");
  Prompt asked = prompt("Who wrote Faust?");
  asked.user = "anna";
  Feedback feedback;
  feedback.request_id = cache_->lookup(asked, {}).value().request_id;
  feedback.user = "anna";
  feedback.correct = false;
  ASSERT_TRUE(cache_->feedback(feedback));
  ASSERT_TRUE(cache_->learned_threshold("local", "anna"));
  EXPECT_EQ(cache_->erase("local", "anna", std::nullopt)->taus, 1U);
  EXPECT_FALSE(cache_->learned_threshold("local", "anna"));
  restart();
  EXPECT_FALSE(cache_->learned_threshold("local", "anna"));
}

TEST_F(EraseTest, AnAnswerUnderWayIsNotKept) {
  StoreRequest late;
  late.prompt = prompt("Who wrote Faust?");
  late.text = "Goethe.";
  late.subject = "anna";
  late.generation = cache_->generation();
  ASSERT_TRUE(cache_->erase("local", "anna", std::nullopt));
  EXPECT_FALSE(cache_->store(late));
  EXPECT_FALSE(has("Who wrote Faust?"));
}

TEST_F(EraseTest, AFailingDiskLeavesItToTheNextStart) {
  put_for("anna", "Who wrote Faust?");
  put_for("ben", "Who wrote Hamlet?");
  const auto before = disk_->rows;
  disk_->is_full = true;
  EXPECT_FALSE(cache_->erase("local", "anna", std::nullopt));
  EXPECT_FALSE(has("Who wrote Faust?")) << "gone from memory all the same";
  EXPECT_EQ(ledger_->pending().size(), 1U);
  disk_->is_full = false;
  cache_.reset();
  disk_->rows = before;  // as if killed before anything reached the disk
  restart();
  EXPECT_EQ(cache_->storage_stats().erased, 1U);
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_TRUE(cache_->commit());
  EXPECT_EQ(disk_->size(), 1U);
  EXPECT_TRUE(ledger_->pending().empty());
}

TEST_F(EraseTest, ARestoredOlderStateLosesTheSubjectAgainButNotWhoCameBack) {
  put_for("anna", "Who wrote Faust?");
  const auto older = disk_->rows;
  ASSERT_TRUE(cache_->erase("local", "anna", std::nullopt));
  put_for("anna", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  auto mixed = disk_->rows;
  mixed.insert(older.begin(), older.end());
  cache_.reset();
  disk_->rows = mixed;
  ASSERT_TRUE(ledger_->note_restore());
  restart();
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_TRUE(ledger_->pending().empty());
}

TEST_F(EraseTest, ACursorHoldsWhenItsEntryHasGone) {
  for (const char* query : {"First?", "Second?", "Third?", "Fourth?"}) put_for("anna", query);
  const auto first = cache_->list_subject("local", "anna", std::nullopt, 2, "").value();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[1]->query(), "Third?");
  const std::string cursor = cache_->subject_cursor(*first[1]);
  ASSERT_TRUE(cache_->remove("local", first[1]->id()));
  const auto rest = cache_->list_subject("local", "anna", std::nullopt, 2, cursor).value();
  ASSERT_EQ(rest.size(), 2U) << "the export goes on";
  EXPECT_EQ(rest[0]->query(), "Second?");
  EXPECT_EQ(rest[1]->query(), "First?");
  for (const std::string& bad :
       {std::string("x"), cursor + "0", cursor.substr(1), cursor.substr(0, 20) + "zz"})
    EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 2, bad).error().code,
              ErrorCode::kInvalidArgument);
  restart();
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 2, cursor).error().code,
            ErrorCode::kNotFound);
}

TEST_F(EraseTest, AStoreDatedBeforeAnErasureThatHasLookedIsNotKept) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->erase("local", "anna", std::nullopt));
  clock_.advance_ms(
      -50);  // as one that read the clock and was held up until now, or after a clock was set back
  StoreRequest late;
  late.prompt = prompt("Who painted Guernica?");
  late.text = "Picasso.";
  late.subject = "anna";
  const auto refused = cache_->store(late);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("erased"), std::string::npos);
  EXPECT_FALSE(has("Who painted Guernica?"))
      << "it would have come back as erased, and gone at the next start";
  EXPECT_EQ(disk_->size(), 0U);
  late.subject = "ben";
  EXPECT_TRUE(cache_->store(late)) << "others are not concerned";
  clock_.advance_ms(100);
  late.subject = "anna";
  EXPECT_TRUE(cache_->store(late));
}

TEST_F(EraseTest, WithoutALedgerItStillErases) {
  reopen(options_of_tests());
  put_for("anna", "Who wrote Faust?");
  const ErasedSubject erased = cache_->erase("local", "anna", std::nullopt).value();
  EXPECT_EQ(erased.entries, 1U);
  EXPECT_EQ(erased.ledger_sequence, 0U);
  EXPECT_FALSE(erased.is_stored);
  EXPECT_EQ(cache_->reseal().error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace enhanced_gptcache::cache
