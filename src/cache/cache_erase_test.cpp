// Erasing a subject in the cache itself: what goes, what stays, and what a restart finishes.

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/epoch.h"
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

// --- with encryption, on a real table ----------------------------------------------------------

class SealedEraseTest : public EraseTest {
 protected:
  SealedEraseTest() { start(); }
  ~SealedEraseTest() override { cache_.reset(); }

  /// As after a stop.
  void start() {
    cache_.reset();
    ledger_.reset();
    ledger_ = vault::ErasureLedger::open(folder_ / "ledger", secret_).value();
    vault_ = vault::Vault::open({{master_keys_, "", ""}, true}).value();
    ASSERT_TRUE(vault_->open_keystore(folder_ / "keys"));
    Options options = options_of_tests();
    options.key_bytes = std::string(32, 'k');
    options.state_folder = folder_;
    options.storage.path = folder_ / "data";
    options.storage.erasures = ledger_;
    options.storage.vault = vault_;
    cache_ = open_cache(options, embedder_, clock_, false).value();
  }
  vault::Erasure noted(std::string_view subject) {
    vault::Erasure wanted;
    wanted.time_ms = clock_.wall_ms();
    wanted.subject = vault::subject_hash(secret_, "local", subject);
    return ledger_->begin(wanted).value();
  }
  ErasedSubject erase(std::string_view subject) {
    return cache_->erase("local", subject, std::nullopt).value();
  }

  std::string master_keys_ = std::string(64, '1');
  std::shared_ptr<vault::Vault> vault_;
};

TEST_F(SealedEraseTest, ACrashedEraseSparesWhatWasStoredAfterIt) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  noted("anna");  // and then it was killed
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");  // sealed by the same key
  ASSERT_TRUE(cache_->commit());
  start();
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_TRUE(ledger_->pending().empty());
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?")) << "on disk by a key that is still there";
  EXPECT_EQ(cache_->storage_stats().keyless, 0U);
}

TEST_F(SealedEraseTest, ARestoreSparesTheKeyOfWhoCameBack) {
  put_for("anna", "Who wrote Faust?");
  EXPECT_EQ(erase("anna").data_keys, 1U);
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  ASSERT_TRUE(ledger_->note_restore());
  start();
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?"));
  EXPECT_FALSE(has("Who wrote Faust?"));
}

TEST_F(SealedEraseTest, WhatIsStoredWhileErasingIsSealedAnew) {
  put_for("anna", "Who wrote Faust?");
  // The clock stands still for what is stored later than the request: as one under way would be.
  const int64_t asked_ms = clock_.wall_ms();
  ASSERT_TRUE(cache_->commit());
  clock_.advance_ms(5);
  put_for("anna", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  vault::Erasure wanted;
  wanted.time_ms = asked_ms;
  wanted.subject = vault::subject_hash(secret_, "local", "anna");
  ASSERT_TRUE(ledger_->begin(wanted));
  cache_->replay_erasures();
  EXPECT_TRUE(ledger_->pending().empty());
  start();
  EXPECT_TRUE(has("Who wrote Hamlet?"));
}

TEST_F(SealedEraseTest, OnlyWhatItsOwnKeysSealedIsClaimedToHaveDiedWithThem) {
  put_for("anna", "Who wrote Faust?");
  ErasedSubject erased = erase("anna");
  EXPECT_TRUE(erased.died_with_keys);
  erased = erase("anna");
  EXPECT_FALSE(erased.died_with_keys) << "no key was destroyed";
  EXPECT_TRUE(erased.is_stored);

  put_for("jwt:anna", "Who wrote Faust?");
  EXPECT_FALSE(erase("jwt:anna").died_with_keys) << "it may have written entries for others";
  put_for("local", "Who wrote Faust?");
  EXPECT_FALSE(erase("local").died_with_keys) << "the tenant itself";

  put_for("anna", "Who wrote Faust?");
  noted("anna");
  erased = erase("anna");
  EXPECT_FALSE(erased.died_with_keys) << "an earlier one was cut short";
  EXPECT_TRUE(ledger_->pending().empty()) << "and is finished by this one";

  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->reseal());
  EXPECT_FALSE(erase("anna").died_with_keys) << "not everything is sealed by the keys of now";
  cache_->maintain();
  EXPECT_FALSE(cache_->encryption_stats().is_resealing);
  put_for("anna", "Who wrote Faust?");
  EXPECT_TRUE(erase("anna").died_with_keys);
}

TEST_F(SealedEraseTest, ResealingHoldsNoEntryThatHasLeft) {
  const std::string id = put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  ASSERT_TRUE(cache_->reseal());
  std::weak_ptr<const Entry> entry = cache_->get("local", id);
  ASSERT_TRUE(cache_->remove("local", id));
  ASSERT_TRUE(cache_->commit());
  for (int i = 0; i < 4; ++i) base::epoch_collect();
  EXPECT_TRUE(entry.expired());
  cache_->maintain();
  EXPECT_FALSE(cache_->encryption_stats().is_resealing);
}

TEST_F(SealedEraseTest, AMasterKeyOfTheKeystoreIsInUse) {
  put_for("anna", "Who wrote Faust?");
  put_for("", "Who wrote Hamlet?");
  ASSERT_TRUE(cache_->commit());
  const std::string first = cache_->encryption_stats().current_key;
  ASSERT_TRUE(cache_->reseal());
  EXPECT_EQ(cache_->encryption_stats().keys_in_use, std::vector<std::string>{first});
  const auto second = vault::parse_keys(std::string(64, '2'), "keys").value();
  EXPECT_EQ(vault_->subjects()->rewrap(second).error().code, ErrorCode::kInvalidArgument)
      << "the first key is still needed";
  cache_->maintain();
  start();
  EXPECT_TRUE(has("Who wrote Faust?"));
}

TEST_F(SealedEraseTest, ADamagedKeystoreCostsNoEntryOnDisk) {
  put_for("anna", "Who wrote Faust?");
  ASSERT_TRUE(cache_->commit());
  cache_.reset();
  vault_.reset();
  fs::copy_file(folder_ / "keys", folder_ / "good", fs::copy_options::overwrite_existing);
  {
    std::fstream file(folder_ / "keys", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(256 + 140);  // within the first key
    file.put('\x55');
    file.put('\xaa');
  }
  start();
  EXPECT_FALSE(has("Who wrote Faust?"));
  EXPECT_EQ(cache_->storage_stats().locked, 1U);
  EXPECT_NE(cache_->storage_stats().problem.find("keystore"), std::string::npos);
  cache_.reset();
  vault_.reset();
  fs::copy_file(folder_ / "good", folder_ / "keys", fs::copy_options::overwrite_existing);
  start();
  EXPECT_TRUE(has("Who wrote Faust?")) << "with a good copy it is there again";
  EXPECT_EQ(cache_->storage_stats().problem, "");
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
