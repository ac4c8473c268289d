// Erasing a subject in the cache itself: what goes, what stays, and what a restart finishes.

#include <algorithm>
#include <filesystem>

#include "cache/cache_fixture.h"
#include "fakes/fake_entry_table.h"

namespace enhanced_gptcache::cache {
namespace {

namespace fs = std::filesystem;

class EraseTest : public CacheTest {
 protected:
  EraseTest() : folder_(fs::temp_directory_path() / ("egptc-erase-" + base::random_hex(8))) {
    fs::create_directories(folder_);
    secret_.fill('k');
    restart();
  }
  ~EraseTest() override {
    cache_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void restart() {
    cache_.reset();
    ledger_.reset();
    ledger_ = vault::ErasureLedger::open(folder_ / "ledger", secret_).value();
    Options options = options_of_tests();
    options.key_bytes = std::string(32, 'k');
    options.state_folder = folder_;
    options.storage.erasures = ledger_;
    cache_ =
        open_cache(options, embedder_, clock_, false, std::make_unique<fakes::FakeEntryTable>(disk_)).value();
  }
  std::string put_for(std::string_view subject, std::string_view query, std::string_view tenant = "local",
                      std::string_view name_space = "") {
    StoreRequest request;
    request.prompt = prompt(query);
    request.prompt.tenant = tenant;
    request.prompt.name_space = name_space;
    request.text = "Answer.";
    request.subject = subject;
    return put(request);
  }
  bool has(std::string_view query, std::string_view tenant = "local") {
    Prompt of = prompt(query);
    of.tenant = tenant;
    return look(of).entry != nullptr;
  }

  fs::path folder_;
  base::SecretKey secret_{};
  std::shared_ptr<vault::ErasureLedger> ledger_;
  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
};

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
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 10, "").size(), 3U);
  EXPECT_EQ(cache_->erase("local", "anna", std::nullopt)->entries, 3U);
  EXPECT_EQ(disk_->size(), 0U);
}

TEST_F(EraseTest, OneNamespaceAlone) {
  put_for("anna", "Who wrote Faust?", "local", "here");
  put_for("anna", "Who wrote Hamlet?", "local", "there");
  EXPECT_EQ(cache_->erase("local", "anna", "here")->entries, 1U);
  restart();
  EXPECT_EQ(cache_->list_subject("local", "anna", std::nullopt, 10, "").size(), 1U);
  EXPECT_EQ(cache_->list_subject("local", "anna", "there", 10, "").size(), 1U);
}

TEST_F(EraseTest, WhatWasLearnedOfTheUserIsForgottenOnDiskToo) {
  const std::string entry = put_for("", "Who wrote Faust?");
  Feedback feedback;
  feedback.entry_id = entry;
  feedback.user = "anna";
  feedback.correct = true;
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
